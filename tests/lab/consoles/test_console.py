"""Consoles of real guests: typing arrives, the address is libvirt's of this moment, and a move or an end is told."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from deploy.lab import fault, sign_in
from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.host import Host
from deploy.lab.lab import Lab
from hypervisors.console.proxy import ConsoleHandler, ConsoleServer
from hypervisors.gateway.ssh_tunnels import close_shared_connections
from hypervisors.models import Domain, Hypervisor, HypervisorCredentials, HypervisorPool
from hypervisors.states import DomainState, HypervisorStatus
from tests.lab.consoles.test_console_proxy import ORIGIN, Screen, close_of, open_socket, serving, signed_in, token_for
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

BOOT_SECONDS = 90
_ENTER = 0xFF0D
_SHIFT = 0xFFE1
_SHIFTED = set('>_"$&|~')


@pytest.fixture
def proxy(transactional_db: None, redis_client: redis.Redis, settings: Any) -> Iterator[ConsoleServer]:
    settings.PUBLIC_ORIGINS = [ORIGIN]
    with serving(ConsoleServer(("127.0.0.1", 0), ConsoleHandler)) as server:
        assert server.kicks.listening.wait(30)
        yield server
    connections.close_all()


@pytest.fixture
def hosts(lab: Lab) -> list[Host]:
    return [host for host in lab.hosts if not host.plan.sasl][:2]


@pytest.fixture(scope="module")
def booted_guest(lab: Lab) -> Iterator[Guest]:
    """One that waits at its shell's prompt; nobody moves or ends it."""
    guest = define_guest(lab.hosts[0], "typed-into")
    wait_until(lambda: guest.counts(), seconds=BOOT_SECONDS)
    yield guest
    remove_guest(lab.hosts, guest)


@pytest.fixture
def make_guest(hosts: list[Host]) -> Iterator[Callable[..., Guest]]:
    guests = []

    def make(host: Host, name: str, **options: Any) -> Guest:
        guests.append(define_guest(host, name, **options))
        return guests[-1]

    yield make
    for guest in guests:
        remove_guest(hosts, guest)


def row_of(host: Host, **fields: Any) -> Hypervisor:
    hypervisor_pool, _ = HypervisorPool.objects.get_or_create(name="lab")
    defaults = {"uri": host.uri, "status": HypervisorStatus.ONLINE}
    return Hypervisor.objects.create(hypervisor_pool=hypervisor_pool, name=host.name, **(defaults | fields))


def domain_of(guest: Guest, hypervisor: Hypervisor) -> Domain:
    return Domain.objects.create(
        uuid=UUID(guest.uuid),
        hypervisor=hypervisor,
        name=guest.name,
        state=DomainState.RUNNING,
        state_since=timezone.now(),
    )


def ask(proxy: ConsoleServer, user: User, domain: Domain, mode: Any = "control") -> Any:
    """A socket with a fresh grant."""
    session = signed_in(user)
    return open_socket(proxy, token_for(user, session, domain, mode), session)


def type_text(screen: Screen, text: str) -> None:
    for letter in text:
        keys = [_ENTER if letter == "\n" else ord(letter)]
        if letter.isupper() or letter in _SHIFTED:
            keys.insert(0, _SHIFT)
        for pressed, order in ((1, keys), (0, keys[::-1])):
            for key in order:
                screen.socket.send(bytes([4, pressed, 0, 0]) + key.to_bytes(4, "big"))


def serial(guest: Guest) -> str:
    return Path(guest.serial_log_path).read_text(errors="replace")


# --- bytes -------------------------------------------------------------------------------------------------------


def test_what_an_operator_types_arrives(
    proxy: ConsoleServer, booted_guest: Guest, hosts: list[Host], alice: User
) -> None:
    screen = Screen(ask(proxy, alice, domain_of(booted_guest, row_of(hosts[0]))))
    assert screen.name == f"QEMU ({booted_guest.name})"
    type_text(screen, "echo typed by alice > /dev/ttyS0\n")
    wait_until(lambda: "typed by alice" in serial(booted_guest), seconds=20)
    screen.socket.close()


def test_what_a_viewer_types_does_not(
    proxy: ConsoleServer, booted_guest: Guest, hosts: list[Host], alice: User
) -> None:
    domain = domain_of(booted_guest, row_of(hosts[0]))
    viewer = Screen(ask(proxy, alice, domain, "view"))
    type_text(viewer, "echo typed by nobody > /dev/ttyS0\n")
    viewer.socket.send(b"\3\0\0\0\0\0\0\x10\0\x10")
    # An answer to what came after the keys: they have been dealt with.
    assert viewer.read(1) == b"\0"
    operator = Screen(ask(proxy, alice, domain))
    type_text(operator, "echo and then by alice > /dev/ttyS0\n")
    wait_until(lambda: "and then by alice" in serial(booted_guest), seconds=20)
    assert "typed by nobody" not in serial(booted_guest)
    viewer.socket.close()
    operator.socket.close()


def test_a_host_behind_ssh(proxy: ConsoleServer, booted_guest: Guest, hosts: list[Host], lab: Lab, alice: User) -> None:
    try:
        screen = Screen(ask(proxy, alice, domain_of(booted_guest, by_ssh(lab, hosts[0]))))
        type_text(screen, "echo typed by ssh > /dev/ttyS0\n")
        wait_until(lambda: "typed by ssh" in serial(booted_guest), seconds=20)
        screen.socket.close()
    finally:
        close_shared_connections()


# --- what libvirt reports is not trusted ---------------------------------------------------------------------------


@pytest.fixture
def serve_at(make_guest: Callable[..., Guest], hosts: list[Host], tmp_path: Path) -> Callable[[str], Guest]:
    """Starts a guest on the first host with such <graphics>."""

    def serve(graphics: str) -> Guest:
        guest = make_guest(hosts[0], "served", start=False)
        xml = hosts[0].virsh("dumpxml", "--inactive", guest.uuid)
        changed = re.sub(r"<graphics.*?</graphics>|<graphics[^>]*/>", graphics, xml, count=1, flags=re.DOTALL)
        assert changed != xml
        (tmp_path / "served.xml").write_text(changed)
        hosts[0].virsh("define", str(tmp_path / "served.xml"))
        hosts[0].virsh("start", guest.uuid)
        return guest

    return serve


def by_ssh(lab: Lab, host: Host) -> Hypervisor:
    hypervisor = row_of(host, uri=host.ssh_uri)
    HypervisorCredentials.objects.create(
        hypervisor=hypervisor,
        ssh_private_key=lab.plan.ssh_key_path.read_text(),
        ssh_known_hosts=sign_in.known_hosts_line(host.plan),
    )
    return hypervisor


@pytest.mark.parametrize(
    ("graphics", "said"),
    [
        ("<graphics type='vnc' port='5977' listen='localhost'/>", "of {host} only. Reach {host} by qemu+ssh://"),
        ("<graphics type='vnc' port='5977' listen='127.0.0.1'/>", "of {host} only"),
        ("<graphics type='vnc'><listen type='network' network='default'/></graphics>", "not known to be an address of"),
        ("<graphics type='vnc'><listen type='socket'/></graphics>", "unix socket of {host} only"),
        ("<graphics type='vnc'><listen type='none'/></graphics>", "no network display"),
    ],
)
def test_a_screen_elsewhere_is_never_looked_for_here(
    proxy: ConsoleServer, serve_at: Callable[[str], Guest], hosts: list[Host], alice: User, graphics: str, said: str
) -> None:
    domain = domain_of(serve_at(graphics), row_of(hosts[0]))
    with socket.create_server(("127.0.0.1", 5977)) as ours:
        ours.settimeout(0)
        code, reason = whole_reason(ask(proxy, alice, domain))
        with pytest.raises(BlockingIOError):
            ours.accept()
    assert code == 4004
    assert said.format(host=hosts[0].address) in reason


def whole_reason(asked: Any) -> tuple[int, str]:
    """The close code, and the reason as text where a close frame does not hold it."""
    texts: list[Any] = []
    with pytest.raises(ConnectionClosed) as closed:
        collect(asked, texts)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, json.loads(texts[-1])["reason"] if texts else closed.value.rcvd.reason


def collect(asked: Any, messages: list[Any]) -> None:
    while True:
        messages.append(asked.recv(timeout=20))


@pytest.mark.parametrize(
    "graphics",
    [
        "<graphics type='vnc' port='5977' listen='localhost'/>",
        "<graphics type='vnc'><listen type='network' network='default'/></graphics>",
        "<graphics type='vnc'><listen type='socket'/></graphics>",
    ],
)
def test_through_ssh_each_of_these_screens_is_reached(
    proxy: ConsoleServer, serve_at: Callable[[str], Guest], hosts: list[Host], lab: Lab, alice: User, graphics: str
) -> None:
    domain = domain_of(serve_at(graphics), by_ssh(lab, hosts[0]))
    try:
        screen = Screen(ask(proxy, alice, domain))
        assert screen.name == "QEMU (served)"
        screen.socket.close()
    finally:
        close_shared_connections()


# --- where the screen is now -------------------------------------------------------------------------------------


def test_the_port_is_asked_anew_each_time(
    proxy: ConsoleServer, make_guest: Callable[..., Guest], hosts: list[Host], alice: User
) -> None:
    hypervisor = row_of(hosts[0])
    first, second = make_guest(hosts[0], "first"), make_guest(hosts[0], "second")
    domain = domain_of(first, hypervisor)
    screen = Screen(ask(proxy, alice, domain))
    assert screen.name == "QEMU (first)"
    before = hosts[0].virsh("vncdisplay", "first")
    for guest in (first, second):
        hosts[0].virsh("destroy", guest.uuid)
    for guest in (second, first):
        hosts[0].virsh("start", guest.uuid)
    assert hosts[0].virsh("vncdisplay", "second") == before
    screen.socket.close()
    again = Screen(ask(proxy, alice, domain))
    assert again.name == "QEMU (first)"
    again.socket.close()


def test_a_machine_that_is_off_or_ends(
    proxy: ConsoleServer, make_guest: Callable[..., Guest], hosts: list[Host], alice: User
) -> None:
    guest = make_guest(hosts[0], "ending")
    domain = domain_of(guest, row_of(hosts[0]))
    screen = Screen(ask(proxy, alice, domain))
    hosts[0].virsh("destroy", guest.uuid)
    assert screen.closed()[0] == 4000
    assert close_of(ask(proxy, alice, domain)) == (4000, "The virtual machine is off.")


def test_a_migration_is_told_and_the_next_console_is_over_there(
    proxy: ConsoleServer, make_guest: Callable[..., Guest], hosts: list[Host], alice: User
) -> None:
    source, target = row_of(hosts[0]), row_of(hosts[1])
    guest = make_guest(hosts[0], "moving")
    wait_until(lambda: guest.counts(), seconds=BOOT_SECONDS)
    domain = domain_of(guest, source)
    screen = Screen(ask(proxy, alice, domain))
    options = ("--live", "--p2p", "--persistent", "--undefinesource")
    hosts[0].virsh("migrate", *options, "moving", hosts[1].uri, timeout_seconds=120)
    Domain.objects.filter(pk=domain.pk).update(hypervisor=target)
    assert screen.closed()[0] == 4002
    domain.refresh_from_db()
    over_there = Screen(ask(proxy, alice, domain))
    assert over_there.name == "QEMU (moving)"
    type_text(over_there, "echo still here > /dev/ttyS0\n")
    wait_until(lambda: "still here" in serial(guest), seconds=90)
    assert guest.boots() == 1
    over_there.socket.close()


def test_a_machine_that_left_its_host_is_told_to_have_moved(
    proxy: ConsoleServer, booted_guest: Guest, hosts: list[Host], alice: User
) -> None:
    elsewhere = domain_of(booted_guest, row_of(hosts[1]))
    code, reason = close_of(ask(proxy, alice, elsewhere))
    assert (code, hosts[1].name in reason) == (4002, True)


def test_a_frozen_libvirt_costs_only_its_own_session(
    proxy: ConsoleServer, booted_guest: Guest, make_guest: Callable[..., Guest], hosts: list[Host], alice: User
) -> None:
    frozen = domain_of(make_guest(hosts[1], "frozen"), row_of(hosts[1]))
    well = domain_of(booted_guest, row_of(hosts[0]))
    open_already = Screen(ask(proxy, alice, frozen))
    with fault.during(fault.freeze, fault.thaw, hosts[1]):
        waiting = ask(proxy, alice, frozen)
        screen = Screen(ask(proxy, alice, well))
        assert screen.name == f"QEMU ({booted_guest.name})"
        open_already.socket.send(b"\3\0\0\0\0\0\0\x10\0\x10")
        assert open_already.read(1) == b"\0"
        assert close_of(waiting, 15)[0] == 4004
    screen.socket.close()
    open_already.socket.close()
