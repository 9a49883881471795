"""Connection tests: can this hypervisor be reached as an operator just typed it? A worker tries; the request only asks.

What is typed travels to the worker encrypted; what came of it is kept in the cache for five minutes, for the operator
who asked and for the very same settings only.
"""

import hashlib
import hmac
import json
import logging
import time
import uuid
from dataclasses import asdict, dataclass, replace
from typing import Literal

from celery import shared_task
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from hypervisors import errors
from hypervisors.access import audit, require
from hypervisors.access.reach import place_to_manage
from hypervisors.access.subjects import subject_of
from hypervisors.gateway.connections import open_connection
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.hypervisors.hosts import HostFacts, read_host
from hypervisors.gateway.known_hosts import bind_known_hosts
from hypervisors.gateway.ssh_host_keys import HostKey, scan_host_keys
from hypervisors.gateway.uris import DEFAULT_PORTS, HypervisorUri, parse_uri
from hypervisors.models import Hypervisor, HypervisorPool
from hypervisors.models.encryption import decrypted, encrypted
from hypervisors.privileges import Privilege

__all__ = [
    "DEFAULT_PORTS",
    "ConnectionCandidate",
    "ConnectionTest",
    "HypervisorUri",
    "check_uri",
    "find_connection_test",
    "own_host_keys",
    "queue_connection_test",
    "request_connection_test",
    "run_connection_test",
]

logger = logging.getLogger(__name__)

RESULT_SECONDS = 300
# A task that no worker has taken up by then is not worth doing any more.
_TASK_SECONDS = 60
# How many each person may ask for, within how many seconds.
TESTS_PER_PERSON = ((20, 60, gettext_lazy("a minute")), (200, 3600, gettext_lazy("an hour")))
# After this long without a worker the page says so.
WORKER_SECONDS = 20

State = Literal["queued", "running", "succeeded", "failed"]


@dataclass(frozen=True, kw_only=True)
class ConnectionCandidate:
    """How a hypervisor might be reached: the fields of its row of the same names."""

    uri: str
    sasl_username: str = ""
    sasl_password: str = ""
    ssh_private_key: str = ""
    ssh_known_hosts: str = ""
    tls_ca_certificate: str = ""
    tls_client_certificate: str = ""
    tls_client_key: str = ""

    @property
    def digest(self) -> str:
        """The same for the same settings; tells nothing about them."""
        return hmac.new(settings.SECRET_KEY.encode(), self._as_json().encode(), hashlib.sha256).hexdigest()

    def _as_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def sealed(self) -> str:
        return encrypted(self._as_json())

    @classmethod
    def unsealed(cls, ciphertext: str) -> "ConnectionCandidate":
        """Raises: cryptography.fernet.InvalidToken."""
        return cls(**json.loads(decrypted(ciphertext)))


@dataclass(frozen=True, kw_only=True)
class ConnectionTest:
    """What came of it. `failure` is the name of a class of errors.py; `host_keys` are what ssh could not verify."""

    id: str
    user_id: int
    candidate_digest: str
    state: State = "queued"
    asked_at: float = 0.0
    seconds: float = 0.0
    facts: HostFacts | None = None
    failure: str = ""
    message: str = ""
    host_keys: tuple[HostKey, ...] = ()
    host_key_changed: bool = False

    @property
    def is_over(self) -> bool:
        return self.state in ("succeeded", "failed")

    @property
    def waits_for_worker(self) -> bool:
        return self.state == "queued" and time.time() - self.asked_at > WORKER_SECONDS


def check_uri(text: str) -> HypervisorUri:
    """The URI taken apart, for forms. Raises: errors.InvalidUri."""
    return parse_uri(text, allow_test_driver=settings.ALLOW_TEST_DRIVER)


def own_host_keys(text: str, uri: HypervisorUri) -> str:
    """Of a known_hosts text, the host's own keys. Raises: ValueError, whose text says what is wrong with it."""
    return bind_known_hosts(text, uri.host, uri.port or 0)


def request_connection_test(
    *, user: User, candidate: ConnectionCandidate, on: Hypervisor | HypervisorPool | None
) -> ConnectionTest:
    """Queue a test; ask `find_connection_test` for what came of it.

    `on` is the host that it is of, or the pool that a new host is to be in; None for a new pool too. A person has so
    many tests a minute, and an hour: they are a port scanner too. One that is too many is answered as failed, and is
    not kept. Raises: errors.NotPermitted.
    """
    what = "test a connection"
    require(user, Privilege.HYPERVISOR_MANAGE, place_to_manage(candidate.uri, on), what=what)
    too_many = _limit_reached(user.pk)
    _note(user, what, candidate, on, too_many)
    if too_many:
        test = ConnectionTest(id="", user_id=user.pk, candidate_digest=candidate.digest)
        return _failed(test, "TooManyTests", too_many)
    return queue_connection_test(user_id=user.pk, candidate=candidate)


def _note(
    user: User, what: str, candidate: ConnectionCandidate, on: Hypervisor | HypervisorPool | None, too_many: str
) -> None:
    subject = subject_of(on if isinstance(on, Hypervisor) else None)
    audit.record(
        user,
        what,
        subject_type="hypervisor",
        subject_key=subject.key,
        subject_name=subject.name or candidate.uri,
        after={"uri": candidate.uri},
        outcome="refused" if too_many else "done",
        detail=too_many,
    )


def _limit_reached(user_id: int) -> str:
    """Count one more test; in words why it is one too many, "" while it is not."""
    for limit, seconds, words in TESTS_PER_PERSON:
        key = f"connection-tests:{user_id}:{seconds}:{int(time.time()) // seconds}"
        cache.add(key, 0, seconds)
        try:
            count = cache.incr(key)
        except ValueError:
            # It ran out in between.
            continue
        if count > limit:
            return _("You have tested %(limit)s connections within %(words)s; wait a little.") % {
                "limit": limit,
                "words": words,
            }
    return ""


def queue_connection_test(*, user_id: int, candidate: ConnectionCandidate) -> ConnectionTest:
    """The same for whom was let in already."""
    test = ConnectionTest(id=uuid.uuid4().hex, user_id=user_id, candidate_digest=candidate.digest, asked_at=time.time())
    try:
        _store(test)
        run_connection_test.apply_async(
            args=(test.id, candidate.sealed()), queue="operations", expires=_TASK_SECONDS, ignore_result=True
        )
    except (OperationalError, RedisError):
        logger.exception("A connection test could not be queued.")
        test = _failed(test, "QueueAway", "The task queue (Redis) does not answer; nothing could be tested.")
        # Kept by this process, so that the form can be saved all the same.
        _store(test)
    return test


def find_connection_test(test_id: str, *, user_id: int) -> ConnectionTest | None:
    """The test, if it is not forgotten yet and is this user's."""
    try:
        test: ConnectionTest | None = cache.get(_key(test_id))
    except RedisError:
        return None
    return test if test is not None and test.user_id == user_id else None


@shared_task(name="hypervisors.test_connection", acks_late=False, ignore_result=True)
def run_connection_test(test_id: str, sealed_candidate: str) -> None:
    """Try it, in a worker. Whatever happens ends in the stored test."""
    test: ConnectionTest | None = cache.get(_key(test_id))
    if test is None or test.is_over:
        return
    _store(replace(test, state="running"))
    started = time.monotonic()
    try:
        outcome = _try(test, ConnectionCandidate.unsealed(sealed_candidate))
    except InvalidToken:
        outcome = _failed(test, "OtherKey", "The worker has another VMPORTAL_ENCRYPTION_KEY than the web process.")
    except Exception as error:
        _store(_failed(test, type(error).__name__, f"The test itself failed: {error}"))
        raise
    _store(replace(outcome, seconds=time.monotonic() - started))


def _try(test: ConnectionTest, candidate: ConnectionCandidate) -> ConnectionTest:
    try:
        endpoint = _endpoint(candidate)
        connection = open_connection(endpoint)
    except errors.HostKeyChanged as error:
        return _with_host_keys(_failed(test, type(error).__name__, str(error)), endpoint)
    except errors.VmportalError as error:
        return _failed(test, type(error).__name__, str(error))
    try:
        return replace(test, state="succeeded", facts=read_host(connection))
    except errors.HypervisorError as error:
        return _failed(test, type(error).__name__, str(error))
    finally:
        connection.close()


def _endpoint(candidate: ConnectionCandidate) -> Endpoint:
    """Raises: errors.InvalidUri."""
    return Endpoint(
        uri=check_uri(candidate.uri),
        key=f"test-{candidate.digest[:16]}",
        **{name: value for name, value in asdict(candidate).items() if name != "uri"},
    )


def _with_host_keys(test: ConnectionTest, endpoint: Endpoint) -> ConnectionTest:
    return replace(
        test,
        host_keys=scan_host_keys(endpoint.uri.host, endpoint.uri.port or 22),
        host_key_changed=bool(endpoint.ssh_known_hosts.strip()),
    )


def _failed(test: ConnectionTest, failure: str, message: str) -> ConnectionTest:
    return replace(test, state="failed", failure=failure, message=message)


def _store(test: ConnectionTest) -> None:
    cache.set(_key(test.id), test, RESULT_SECONDS)


def _key(test_id: str) -> str:
    # A browser may ask for anything; ours are hexadecimal.
    is_ours = len(test_id) <= 64 and test_id.isascii() and test_id.isalnum()
    return f"connection-test:{test_id if is_ours else hashlib.sha256(test_id.encode()).hexdigest()}"
