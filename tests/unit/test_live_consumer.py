"""The live socket over a real Redis: who is let in, what each hears, and when it ends."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from psycopg.errors import DiskFull

from hypervisors.broadcast import FLEET_GROUP, Change, publish, publish_usage
from hypervisors.live import consumers
from hypervisors.live.routing import websocket_urlpatterns
from hypervisors.models import Domain, Hypervisor, HypervisorPool, Role, RoleBinding
from hypervisors.models.troubles import note_failure, read_trouble
from tests.roles import bind

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

APPLICATION = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))


class Websocket(ApplicationCommunicator):
    """The browser's end. (channels.testing has one, which needs daphne.)"""

    def __init__(self, session_key: str = "", application: Any = APPLICATION) -> None:
        headers = [(b"cookie", f"sessionid={session_key}".encode())]
        super().__init__(application, {"type": "websocket", "path": "/ws/live/", "headers": headers})

    async def connect(self) -> bool:
        await self.send_input({"type": "websocket.connect"})
        return bool((await self.receive_output(timeout=5))["type"] == "websocket.accept")

    async def send(self, **message: Any) -> None:
        await self.send_input({"type": "websocket.receive", **message})

    async def receive(self) -> str:
        message = await self.receive_output(timeout=5)
        assert message["type"] == "websocket.send", message
        return str(message["text"])

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=5)


@asynccontextmanager
async def opened(client: Client, application: Any = APPLICATION) -> AsyncIterator[Websocket]:
    """A socket with the client's session, after its greeting."""
    socket = Websocket(client.cookies["sessionid"].value, application)
    assert await socket.connect()
    try:
        yield socket
    finally:
        await socket.disconnect()


def in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """As the watcher and the workers call it."""
    return database_sync_to_async(function, thread_sensitive=False)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


async def hears(socket: Websocket, kind: str) -> dict[str, Any]:
    """The next message of the kind."""
    while True:
        message: dict[str, Any] = json.loads(await socket.receive())
        if message["type"] == kind:
            return message


async def pong(socket: Websocket) -> None:
    """All that was sent to the consumer before has been dealt with."""
    await socket.send(text='{"ping": 1}')
    await hears(socket, "pong")


def state_of(domain: Domain) -> Change:
    return Change(what="domain", id=str(domain.uuid), fields={"state": "running"})


def test_strangers_are_not_let_in() -> None:
    async def scenario() -> None:
        assert not await Websocket().connect()
        assert not await Websocket("no-such-session").connect()

    async_to_sync(scenario)()


def test_a_deactivated_person_is_not_let_in(alice: User) -> None:
    client = logged_in(alice)
    User.objects.update(is_active=False)

    async def scenario() -> None:
        assert not await Websocket(client.cookies["sessionid"].value).connect()

    async_to_sync(scenario)()


def test_operators_hear_of_everything_in_order_with_numbers(alice: User, domain: Domain, redis_client: Any) -> None:
    redis_client.set(f"vmportal:seq:{FLEET_GROUP}", 41)
    client = logged_in(alice)

    async def scenario() -> None:
        async with opened(client) as socket:
            assert (await hears(socket, "hello"))["seq"] == 41
            await in_thread(publish)([state_of(domain)])
            message = await hears(socket, "changes")
            assert message["seq"] == 42
            assert message["changes"] == [
                {"what": "domain", "id": str(domain.uuid), "op": "update", "fields": {"state": "running"}}
            ]

    async_to_sync(scenario)()


def test_a_change_that_redis_did_not_take_leaves_a_gap_in_the_numbers(
    alice: User, domain: Domain, redis_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = logged_in(alice)

    async def scenario() -> None:
        async with opened(client) as socket, asyncio.timeout(20):
            await in_thread(publish)([state_of(domain)])
            first = (await hears(socket, "changes"))["seq"]
            redis_client.config_set("maxmemory", 1)
            try:
                await in_thread(publish)([state_of(domain)])
                while "could not be broadcast" not in caplog.text:
                    await asyncio.sleep(0.01)
                await socket.send(text='{"ping": 1}')
                assert (await hears(socket, "pong"))["seq"] == first
            finally:
                redis_client.config_set("maxmemory", 0)
            await in_thread(publish)([state_of(domain)])
            assert (await hears(socket, "changes"))["seq"] == first + 2

    async_to_sync(scenario)()


def test_others_hear_of_their_own_machines_only(
    bob: User, charlie: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    secret = make_domain(name="secret")
    bobs, charlies = logged_in(bob), logged_in(charlie)

    async def scenario() -> None:
        async with opened(bobs) as of_bob, opened(charlies) as of_charlie:
            await hears(of_bob, "hello")
            await hears(of_charlie, "hello")
            await in_thread(publish)([state_of(secret), state_of(domain)])
            message = await hears(of_bob, "changes")
            assert [change["id"] for change in message["changes"]] == [str(domain.uuid)]
            await pong(of_charlie)
            assert await of_charlie.receive_nothing()

    async_to_sync(scenario)()


def test_the_operator_of_a_pool_hears_of_that_pool_only(
    charlie: User,
    domain: Domain,
    hypervisor: Hypervisor,
    make_hypervisor: Callable[..., Hypervisor],
    make_domain: Callable[..., Domain],
) -> None:
    far = make_hypervisor(name="far", hypervisor_pool=HypervisorPool.objects.create(name="rack two"))
    outside = make_domain(name="outside", hypervisor=far)
    bind(charlie, "operator", hypervisor.hypervisor_pool)
    client = logged_in(charlie)
    seen = [state_of(domain), Change(what="hypervisor", id=str(hypervisor.pk), fields={"status": "stale"})]
    unseen = [state_of(outside), Change(what="hypervisor", id=str(far.pk), fields={"status": "stale"})]

    async def scenario() -> None:
        async with opened(client) as socket:
            await pong(socket)
            await in_thread(publish)([*unseen, *seen])
            changes = (await hears(socket, "changes"))["changes"]
            assert [(change["what"], change["id"]) for change in changes] == [(c.what, c.id) for c in seen]

    async_to_sync(scenario)()


def test_samples_come_of_what_is_watched_and_visible(
    alice: User, bob: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    secret, other = make_domain(name="secret"), make_domain(name="other")
    host = domain.hypervisor_id
    assert host is not None
    values = {str(machine.uuid): [1.0] * 6 for machine in (domain, secret, other)}
    alices, bobs = logged_in(alice), logged_in(bob)
    watch = {"watch": [str(domain.uuid), str(secret.uuid), "nonsense", 5], "watch_hypervisors": [host, "x", True]}

    async def scenario() -> None:
        async with opened(alices) as of_alice, opened(bobs) as of_bob:
            for socket in (of_alice, of_bob):
                await socket.send(text=json.dumps(watch))
                await pong(socket)
            await in_thread(publish_usage)(host, sampled_at=5.0, host=[9.0] * 6, domains=values)
            of_operator = await hears(of_alice, "usage")
            assert set(of_operator["domains"]) == {str(domain.uuid), str(secret.uuid)}
            assert (of_operator["host"], of_operator["at"], of_operator["hypervisor"]) == ([9.0] * 6, 5.0, host)
            of_viewer = await hears(of_bob, "usage")
            assert set(of_viewer["domains"]) == {str(domain.uuid)}
            assert of_viewer["host"] == []
            # The list of what is watched is replaced, not added to.
            await of_alice.send(text='{"watch": []}')
            await pong(of_alice)
            await in_thread(publish_usage)(host, sampled_at=10.0, host=[], domains=values)
            await hears(of_bob, "usage")
            await pong(of_alice)
            assert await of_alice.receive_nothing()

    async_to_sync(scenario)()


def test_nonsense_does_not_end_the_socket(alice: User) -> None:
    client = logged_in(alice)

    async def scenario() -> None:
        async with opened(client) as socket:
            for text in ("", "{", "[]", "null", '{"watch": 5}', '{"watch_hypervisors": {"a": 1}}', '{"watch": [[]]}'):
                await socket.send(text=text)
            await socket.send(bytes=b"\x00")
            await pong(socket)

    async_to_sync(scenario)()


def test_a_page_is_told_of_a_role_that_is_given(bob: User, make_domain: Callable[..., Domain]) -> None:
    machine = make_domain(name="shared")
    client = logged_in(bob)

    async def scenario() -> None:
        async with opened(client) as socket:
            await hears(socket, "hello")
            await in_thread(bind)(bob, "viewer", machine)
            await hears(socket, "rights")

    async_to_sync(scenario)()


def test_a_page_is_not_told_of_rights_that_did_not_change(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers.LiveConsumer, "recheck_seconds", 0.05)
    client = logged_in(bob)
    looked = []
    look = consumers.LiveConsumer._watch

    async def counted(self: consumers.LiveConsumer) -> None:
        looked.append(self)
        await look(self)

    monkeypatch.setattr(consumers.LiveConsumer, "_watch", counted)

    async def scenario() -> None:
        async with opened(client) as socket, asyncio.timeout(10):
            await hears(socket, "hello")
            while len(looked) < 3:
                await asyncio.sleep(0.02)
            assert await socket.receive_nothing()

    async_to_sync(scenario)()


@pytest.mark.parametrize("ending", ["logout", "deactivation", "password", "demotion"])
def test_a_session_that_ends_closes_its_socket_soon(alice: User, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers.LiveConsumer, "recheck_seconds", 0.05)
    client = logged_in(alice)

    def end() -> None:
        if ending == "logout":
            client.logout()
        elif ending == "deactivation":
            User.objects.update(is_active=False)
        elif ending == "demotion":
            RoleBinding.objects.update(role=Role.objects.get(key="viewer"))
        else:
            alice.set_password("another-password")
            alice.save()

    async def scenario() -> None:
        async with opened(client) as socket:
            await pong(socket)
            await sync_to_async(end)()
            while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
                pass
            assert message["code"] == consumers.CLOSE_SIGNED_OUT

    async_to_sync(scenario)()


def test_a_database_that_fails_for_a_while_does_not_keep_the_socket_open(
    alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(consumers.LiveConsumer, "recheck_seconds", 0.05)
    monkeypatch.setattr(consumers, "_CHECK_AGAIN_SECONDS", 0.05)
    client = logged_in(alice)

    def rename(before: str, after: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {before} RENAME TO {after}")

    async def scenario() -> None:
        async with opened(client) as socket:
            await pong(socket)
            await sync_to_async(rename)("hypervisors_loginsession", "away")
            try:
                async with asyncio.timeout(10):
                    while "could not be checked" not in caplog.text:
                        await asyncio.sleep(0.02)
                await sync_to_async(User.objects.update)(is_active=False)
            finally:
                await sync_to_async(rename)("away", "hypervisors_loginsession")
            while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
                pass
            assert message["code"] == consumers.CLOSE_SIGNED_OUT

    async_to_sync(scenario)()


def test_rights_that_stay_unknown_end_the_socket(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers.LiveConsumer, "recheck_seconds", 0.05)
    monkeypatch.setattr(consumers, "_CHECK_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(consumers, "UNCHECKED_SECONDS", 0.2)
    client = logged_in(alice)

    def rename(before: str, after: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {before} RENAME TO {after}")

    async def scenario() -> None:
        async with opened(client) as socket:
            await pong(socket)
            await sync_to_async(rename)("hypervisors_loginsession", "away")
            try:
                while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
                    pass
            finally:
                await sync_to_async(rename)("away", "hypervisors_loginsession")
            assert message["code"] == consumers.CLOSE_UNCHECKED

    async_to_sync(scenario)()


@pytest.mark.parametrize("ending", ["logout", "deactivation", "demotion"])
def test_what_vmportal_itself_changes_is_told_to_the_sockets_at_once(alice: User, ending: str) -> None:
    client = logged_in(alice)

    def end() -> None:
        if ending == "logout":
            client.logout()
        elif ending == "deactivation":
            alice.is_active = False
            alice.save()
        else:
            alice.role_bindings.get().delete()

    async def scenario() -> None:
        # Within the half minute after which it would look by itself.
        async with opened(client) as socket:
            await pong(socket)
            await in_thread(end)()
            while (message := await socket.receive_output(timeout=15))["type"] != "websocket.close":
                pass
            assert message["code"] == consumers.CLOSE_SIGNED_OUT

    async_to_sync(scenario)()


def test_a_right_that_goes_away_ends_the_samples(
    bob: User, domain: Domain, make_domain: Callable[..., Domain], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers.LiveConsumer, "recheck_seconds", 0.05)
    kept, elsewhere = make_domain(name="kept"), make_domain(name="elsewhere")
    bind(bob, "viewer", kept)
    host = domain.hypervisor_id
    assert host is not None
    client = logged_in(bob)
    values = {str(machine.uuid): [1.0] * 6 for machine in (domain, kept)}

    async def scenario() -> None:
        async with opened(client) as socket:
            await socket.send(text=json.dumps({"watch": list(values)}))
            await pong(socket)
            # Without its end, which would end the session.
            await sync_to_async(RoleBinding.objects.filter(domain=domain).update)(domain=elsewhere)
            async with asyncio.timeout(5):
                while True:
                    await in_thread(publish_usage)(host, sampled_at=5.0, host=[], domains=values)
                    if set((await hears(socket, "usage"))["domains"]) == {str(kept.uuid)}:
                        break

    async_to_sync(scenario)()


def test_a_role_that_is_taken_back_ends_the_socket(bob: User, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    bind(bob, "viewer")
    client = logged_in(bob)

    async def scenario() -> None:
        async with opened(client) as socket:
            await pong(socket)
            await sync_to_async(RoleBinding.objects.filter(domain=domain).delete)()
            while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
                pass
            assert message["code"] == consumers.CLOSE_SIGNED_OUT

    async_to_sync(scenario)()


def test_a_browser_that_does_not_read_holds_no_more_than_a_bounded_number_of_messages(
    alice: User, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "MOST_WAITING", 3)
    reading = asyncio.Event()
    client = logged_in(alice)

    async def slow_application(scope: Any, receive: Any, send: Any) -> None:
        async def slow_send(message: Any) -> None:
            if "changes" in message.get("text", ""):
                await reading.wait()
            await send(message)

        await APPLICATION(scope, receive, slow_send)

    async def scenario() -> None:
        async with opened(client, slow_application) as slow, opened(client) as quick:
            await hears(slow, "hello")
            for _ in range(8):
                await in_thread(publish)([state_of(domain)])
                newest = (await hears(quick, "changes"))["seq"]
            reading.set()
            # One was on its way, three waited, the rest was dropped: the gap before the next one tells the page.
            numbers = [(await hears(slow, "changes"))["seq"] for _ in range(4)]
            assert numbers == list(range(newest - 7, newest - 3))
            await in_thread(publish)([state_of(domain)])
            assert (await hears(slow, "changes"))["seq"] == newest + 1

    async_to_sync(scenario)()


def test_a_storm_of_changes_reaches_every_socket_in_order_without_a_gap(
    alice: User, domain: Domain, redis_client: Any
) -> None:
    client = logged_in(alice)

    def storm() -> None:
        for number in range(300):
            publish([Change(what="domain", id=str(domain.uuid), fields={"number": number})])

    async def scenario() -> None:
        async with opened(client) as first, opened(client) as second:
            begins = [(await hears(socket, "hello"))["seq"] for socket in (first, second)]
            await in_thread(storm)()
            for socket, begin in zip((first, second), begins, strict=True):
                sequence, seen = begin, -1
                while seen < 299:
                    message = await hears(socket, "changes")
                    assert message["seq"] == sequence + 1
                    numbers = [seen, *(change["fields"]["number"] for change in message["changes"])]
                    assert numbers == sorted(set(numbers))
                    sequence, seen = message["seq"], numbers[-1]
                assert sequence - begin < 100

    async_to_sync(scenario)()


def test_a_message_that_nobody_understands_does_no_harm(alice: User, domain: Domain) -> None:
    client = logged_in(alice)

    async def scenario() -> None:
        async with opened(client) as socket:
            await hears(socket, "hello")
            layer = get_channel_layer()
            assert layer is not None
            for message in ({"type": "of.another.version"}, {"type": "changes", "group": FLEET_GROUP}):
                await layer.group_send(FLEET_GROUP, message)
            await in_thread(publish)([state_of(domain)])
            assert (await hears(socket, "changes"))["changes"][0]["id"] == str(domain.uuid)

    async_to_sync(scenario)()


def test_greetings_and_heartbeats_say_that_the_database_cannot_be_written(alice: User) -> None:
    error = OperationalError("database or disk is full")
    error.__cause__ = DiskFull("no space left")
    client = logged_in(alice)
    cache.clear()
    read_trouble()

    async def scenario() -> None:
        async with opened(client) as socket:
            assert "trouble" not in await hears(socket, "hello")
            await in_thread(note_failure)(error)
            await socket.send(text='{"ping":1}')
            assert "its disk is full" in (await hears(socket, "pong"))["trouble"]
        async with opened(client) as socket:
            assert "its disk is full" in (await hears(socket, "hello"))["trouble"]

    async_to_sync(scenario)()
    cache.clear()
    read_trouble()
