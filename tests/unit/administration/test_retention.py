"""What is past its time goes, and nothing else does."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from hypervisors.access import audit
from hypervisors.administration.retention import remove_expired
from hypervisors.models import (
    AuditRecord,
    Domain,
    Hypervisor,
    HypervisorCredentials,
    LoginSession,
    Network,
    Operation,
    StoragePool,
    Volume,
    encryption,
)
from hypervisors.states import OperationState
from tests.roles import bind
from tests.rows import make_operation

pytestmark = pytest.mark.django_db

OLD = timezone.now() - timedelta(days=3000)


def test_only_what_is_over_and_old_goes(
    domain: Domain, make_domain: Callable[..., Domain], alice: User, charlie: User
) -> None:
    gone, recently_gone = (
        make_domain(name="gone", vanished_at=OLD),
        make_domain(name="away", vanished_at=timezone.now()),
    )
    bind(charlie, "viewer", gone)
    bind(charlie, "viewer", recently_gone)
    old = make_operation(domain=domain, kind="start", state=OperationState.SUCCEEDED, ended_at=OLD)
    kept = [
        make_operation(domain=domain, kind="start", state=OperationState.FAILED, ended_at=timezone.now()),
        make_operation(domain=domain, kind="start", state=OperationState.RUNNING, requested_at=OLD),
    ]
    parent = Operation.objects.create(
        kind="bulk", subject_type="several", subject_name="2", state=OperationState.SUCCEEDED, ended_at=OLD
    )
    child = make_operation(domain=domain, kind="start", state=OperationState.SUCCEEDED, ended_at=OLD, parent=parent)
    removed = remove_expired()
    assert removed["operations"] >= 2
    assert set(Operation.objects.all()) == set(kept)
    assert not Operation.objects.filter(pk__in=[old.pk, parent.pk, child.pk]).exists()
    assert set(Domain.objects.all()) == {domain, recently_gone}
    assert [binding.domain for binding in charlie.role_bindings.all()] == [recently_gone]


def test_storage_networks_audit_and_sessions_go_too(hypervisor: Hypervisor, alice: User) -> None:
    facts = {"hypervisor": hypervisor, "name": "x", "active": False, "autostart": False}
    pools = [
        StoragePool.objects.create(uuid=UUID(int=n), pool_type="dir", vanished_at=when, **facts)
        for n, when in enumerate((OLD, timezone.now(), None))
    ]
    for pool in pools:
        Volume.objects.create(storage_pool=pool, name="gone", vanished_at=OLD)
        Volume.objects.create(storage_pool=pool, name="there")
    for n, when in enumerate((OLD, None)):
        Network.objects.create(uuid=UUID(int=n), forward_mode="nat", vanished_at=when, **facts)
    audit.record(alice, "start")
    AuditRecord.objects.update(at=OLD)
    audit.record(alice, "stop")
    LoginSession.objects.create(session_key="a", session_data="", expire_date=OLD)
    LoginSession.objects.create(session_key="b", session_data="", expire_date=timezone.now() + timedelta(days=1))
    remove_expired()
    assert [pool.pk for pool in StoragePool.objects.order_by("pk")] == [pools[1].pk, pools[2].pk]
    assert set(Volume.objects.values_list("name", flat=True)) == {"there"}
    assert Network.objects.count() == 1
    assert [record.action for record in AuditRecord.objects.all()] == ["stop"]
    assert LoginSession.objects.get().session_key == "b"
    assert remove_expired() == {}


def test_a_round_that_is_stopped_removes_nothing_more(domain: Domain) -> None:
    make_operation(domain=domain, kind="start", state=OperationState.SUCCEEDED, ended_at=OLD)
    assert remove_expired(is_stopping=lambda: True) == {}
    assert Operation.objects.count() == 1


@pytest.fixture
def use_keys(settings: object, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use(*keys: str) -> None:
        settings.ENCRYPTION_KEYS = list(keys)  # type: ignore[attr-defined]
        encryption._fernet.cache_clear()

    yield use
    encryption._fernet.cache_clear()


def test_secrets_are_written_anew_with_the_first_key(
    hypervisor: Hypervisor, alice: User, use_keys: Callable[..., None]
) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    use_keys(old)
    HypervisorCredentials.objects.create(hypervisor=hypervisor, sasl_username="root", sasl_password="secret")
    Authenticator.objects.create(user=alice, type="totp", data={"secret": encryption.encrypted("totp")})
    use_keys(new, old)
    said = StringIO()
    call_command("reencrypt_secrets", stdout=said)
    assert "encrypted with the first key" in said.getvalue()
    use_keys(new)
    assert HypervisorCredentials.objects.get().sasl_password == "secret"
    assert encryption.decrypted(Authenticator.objects.get().data["secret"]) == "totp"


def test_what_no_key_opens_is_named_and_left_as_it_is(
    hypervisor: Hypervisor, make_hypervisor: Callable[..., Hypervisor], use_keys: Callable[..., None]
) -> None:
    lost, old, new = (Fernet.generate_key().decode() for _ in range(3))
    use_keys(lost)
    HypervisorCredentials.objects.create(hypervisor=hypervisor, sasl_password="lost")
    use_keys(old)
    HypervisorCredentials.objects.create(hypervisor=make_hypervisor(name="host2"), sasl_password="kept")
    use_keys(new, old)
    with pytest.raises(CommandError, match="host host1"):
        call_command("reencrypt_secrets")
    use_keys(new)
    assert HypervisorCredentials.objects.get(hypervisor__name="host2").sasl_password == "kept"
    use_keys(lost)
    assert HypervisorCredentials.objects.get(hypervisor=hypervisor).sasl_password == "lost"
