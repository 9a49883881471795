"""Console grants: who gets one, that it works once, and that nothing but its hash is kept."""

from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from hypervisors.models import AuditRecord, Domain
from hypervisors.models.consoles.grants import ConsoleGrant, hash_session, issue_grant, redeem_grant
from hypervisors.models.consoles.kicks import KICK_CHANNEL, parse_kick
from hypervisors.models.consoles.seats import leave_seat, take_seat
from hypervisors.models.consoles.viewers import ConsoleViewer, end_lease, read_viewers, renew_leases
from hypervisors.states import DomainState
from tests.watching import wait_until

WITH_VNC = {"graphics": [{"kind": "vnc", "port": 5900}]}


def _grant() -> ConsoleGrant:
    return ConsoleGrant(user_id=7, session_hash=hash_session("key"), domain_uuid=uuid4(), mode="view")


def test_a_grant_is_redeemed_once(redis_client: redis.Redis) -> None:
    grant = _grant()
    token = issue_grant(grant)
    assert redeem_grant(token) == grant
    assert redeem_grant(token) is None


def test_a_token_is_long_and_redis_does_not_know_it(redis_client: redis.Redis) -> None:
    token = issue_grant(_grant())
    assert len(token) * 6 >= 192
    stored = [(key, redis_client.get(key)) for key in redis_client.keys("vmportal:console:*")]
    assert len(stored) == 1
    assert token not in str(stored)
    assert "'key'" not in str(stored)


def test_a_grant_expires(redis_client: redis.Redis, settings: LazySettings) -> None:
    assert 15 <= settings.CONSOLE_GRANT_SECONDS <= 30
    settings.CONSOLE_GRANT_SECONDS = 1
    token = issue_grant(_grant())
    assert redis_client.keys("vmportal:console:grant:*") != []
    wait_until(lambda: redis_client.keys("vmportal:console:grant:*") == [], seconds=3)
    # It was never used.
    assert redeem_grant(token) is None


def test_an_unknown_token_is_nothing(redis_client: redis.Redis) -> None:
    assert redeem_grant("nonsense") is None


def test_viewers_are_those_with_a_lease(redis_client: redis.Redis) -> None:
    domain, viewer = uuid4(), ConsoleViewer(session="s1", username="bob", mode="view")
    renew_leases([(domain, viewer)])
    assert read_viewers(domain) == [viewer]
    end_lease(domain, viewer)
    assert read_viewers(domain) == []


@pytest.fixture
def running(make_domain: object) -> Domain:
    return make_domain(name="db1", state=DomainState.RUNNING, parsed=WITH_VNC)  # type: ignore[operator, no-any-return]


def _ask(client: Client, user: User, domain: Domain, **fields: str) -> object:
    client.force_login(user)
    return client.post(reverse("console_grant", args=[domain.uuid]), fields)


def test_an_operator_gets_a_grant_that_controls(
    client: Client, alice: User, running: Domain, redis_client: redis.Redis
) -> None:
    answer = _ask(client, alice, running).json()  # type: ignore[attr-defined]
    assert answer["path"] == "/console/vnc"
    assert answer["mode"] == "control"
    grant = redeem_grant(answer["token"])
    assert len(answer["session"]) == 12
    assert grant == ConsoleGrant(
        session=answer["session"],
        user_id=alice.pk,
        session_hash=hash_session(client.session.session_key or ""),
        domain_uuid=running.uuid,
        mode="control",
    )


def test_an_operator_may_ask_for_a_view(
    client: Client, alice: User, running: Domain, redis_client: redis.Redis
) -> None:
    assert _ask(client, alice, running, mode="view").json()["mode"] == "view"  # type: ignore[attr-defined]


def test_who_may_view_gets_no_control(client: Client, bob: User, domain: Domain, redis_client: redis.Redis) -> None:
    Domain.objects.filter(pk=domain.pk).update(state=DomainState.RUNNING)
    assert _ask(client, bob, domain, mode="control").json()["mode"] == "view"  # type: ignore[attr-defined]


def test_a_stranger_meets_404(client: Client, charlie: User, running: Domain, redis_client: redis.Redis) -> None:
    assert _ask(client, charlie, running).status_code == 404  # type: ignore[attr-defined]
    assert client.get(reverse("console", args=[running.uuid])).status_code == 404
    assert redis_client.keys("vmportal:console:grant:*") == []


def test_nobody_gets_one_without_login_or_by_get(client: Client, alice: User, running: Domain) -> None:
    url = reverse("console_grant", args=[running.uuid])
    assert client.post(url).status_code == 302
    client.force_login(alice)
    assert client.get(url).status_code == 405


def test_an_unknown_machine_is_404(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.post(reverse("console_grant", args=[uuid4()])).status_code == 404


def test_a_machine_that_is_off_says_so(client: Client, alice: User, bob: User, domain: Domain) -> None:
    answer = _ask(client, alice, domain)
    assert answer.status_code == 409  # type: ignore[attr-defined]
    assert answer.json() == {"reason": "web1 is off.", "why": "off", "state": "shutoff", "can_start": True}  # type: ignore[attr-defined]
    assert _ask(client, bob, domain).json()["can_start"] is False  # type: ignore[attr-defined]


def test_a_machine_without_vnc_says_so(client: Client, alice: User, make_domain: object) -> None:
    spice = make_domain(state=DomainState.RUNNING, parsed={"graphics": [{"kind": "spice"}]})  # type: ignore[operator]
    blind = make_domain(state=DomainState.RUNNING, parsed={"graphics": [], "name": "x"})  # type: ignore[operator]
    none = [{"kind": "vnc", "port": None, "listen_kind": "none"}]
    unserved = make_domain(state=DomainState.RUNNING, parsed={"graphics": none})  # type: ignore[operator]
    assert "no network display" in _ask(client, alice, unserved).json()["reason"]  # type: ignore[attr-defined]
    assert "SPICE" in _ask(client, alice, spice).json()["reason"]  # type: ignore[attr-defined]
    assert "no display" in _ask(client, alice, blind).json()["reason"]  # type: ignore[attr-defined]


def test_the_console_page_names_its_machine(client: Client, alice: User, make_domain: object) -> None:
    domain = make_domain(name='a"<b>%', state=DomainState.RUNNING)  # type: ignore[operator]
    client.force_login(alice)
    page = client.get(reverse("console", args=[domain.uuid])).content.decode()
    assert "Screen of a&quot;&lt;b&gt;%" in page
    assert "<b>" not in page


def test_a_person_takes_so_many_places_and_no_more(redis_client: redis.Redis, settings: Any) -> None:
    settings.CONSOLES_PER_PERSON = 3
    first, second = uuid4(), uuid4()
    assert [take_seat(7, first, name) for name in "ab"] == ["", ""]
    assert "open 2 times already" in take_seat(7, first, "c")
    assert take_seat(8, first, "d") == "", "others have places of their own"
    assert take_seat(7, first, "c", replaces="a") == "", "a page that reconnects takes its own place"
    assert take_seat(7, second, "e") == ""
    assert "3 consoles open already" in take_seat(7, second, "f")
    leave_seat(7, first, "b")
    assert take_seat(7, second, "f") == ""


def test_a_place_ends_with_the_proxy_that_took_it(redis_client: redis.Redis) -> None:
    domain = uuid4()
    for name in "ab":
        take_seat(7, domain, name)
        redis_client.zadd("vmportal:console:seats:7", {f"{domain}/{name}": 1})
    assert take_seat(7, domain, "c") == ""


def test_who_has_it_open_too_often_is_told_before_connecting(
    client: Client, bob: User, domain: Domain, redis_client: redis.Redis
) -> None:
    Domain.objects.filter(pk=domain.pk).update(state=DomainState.RUNNING)
    take_seat(bob.pk, domain.uuid, "a")
    take_seat(bob.pk, domain.uuid, "b")
    refused = _ask(client, bob, domain)
    assert refused.status_code == 409  # type: ignore[attr-defined]
    assert "open 2 times already" in refused.json()["reason"]  # type: ignore[attr-defined]
    assert _ask(client, bob, domain, replaces="b").status_code == 200  # type: ignore[attr-defined]


@pytest.fixture
def watched(running: Domain, alice: User, bob: User, redis_client: redis.Redis) -> Domain:
    """Bob and Alice look at a machine that Bob may view."""
    from tests.roles import bind

    bind(bob, "viewer", running, granted_by=alice)
    for user in (alice, bob):
        viewer = ConsoleViewer(session=f"of-{user.username}", user_id=user.pk, username=user.username, mode="view")
        renew_leases([(running.uuid, viewer)])
    return running


def _disconnect(client: Client, user: User, domain: Domain, session: str) -> Any:
    client.force_login(user)
    return client.post(reverse("console_disconnect", args=[domain.uuid]), {"session": session})


def test_an_operator_disconnects_a_viewer(
    client: Client, alice: User, watched: Domain, redis_client: redis.Redis, django_capture_on_commit_callbacks: Any
) -> None:
    with redis_client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(KICK_CHANNEL)
        heard.get_message(timeout=5)
        with django_capture_on_commit_callbacks(execute=True):
            answer = _disconnect(client, alice, watched, "of-bob")
        messages = iter(lambda: heard.get_message(timeout=5), None)
        # Signing in has sent one too, of all of Alice's consoles.
        kick = next(kick for message in messages if (kick := parse_kick(message["data"])).viewer)
    assert (kick.viewer, kick.domain, kick.reason) == ("of-bob", str(watched.uuid), "Disconnected by alice.")
    assert [viewer["session"] for viewer in answer.json()["viewers"]] == ["of-alice"]
    record = AuditRecord.objects.get(action="disconnect a viewer")
    assert (record.actor_name, record.subject_name, record.after["viewer"]) == ("alice", "db1", "bob")


def test_a_viewer_disconnects_their_own_console_only(client: Client, bob: User, charlie: User, watched: Domain) -> None:
    assert _disconnect(client, bob, watched, "of-alice").status_code == 403
    assert AuditRecord.objects.get(action="disconnect a viewer").outcome == "refused"
    assert _disconnect(client, bob, watched, "of-bob").status_code == 200
    assert _disconnect(client, bob, watched, "of-nobody").status_code == 404
    assert _disconnect(client, charlie, watched, "of-bob").status_code == 404


def test_the_list_of_viewers_says_whom_one_may_disconnect(
    client: Client, alice: User, bob: User, charlie: User, watched: Domain
) -> None:
    url = reverse("console_viewers", args=[watched.uuid])
    for user, may in ((alice, {"of-alice", "of-bob"}), (bob, {"of-bob"})):
        client.force_login(user)
        viewers = client.get(url).json()["viewers"]
        assert {viewer["session"] for viewer in viewers} == {"of-alice", "of-bob"}
        assert {viewer["session"] for viewer in viewers if viewer["can_disconnect"]} == may
    assert client.post(url).status_code == 405
    client.force_login(charlie)
    assert client.get(url).status_code == 404
    assert client.get(reverse("console_disconnect", args=[watched.uuid])).status_code == 405
