"""What libvirt reports of a display may be hostile: no machine but the host itself is ever dialled.

Each portal here is in a network namespace of its own, with a "host" in another; what must not be dialled listens.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

PORTAL, SECOND, HOST, OTHER_NET, NEIGHBOUR = "10.55.0.1", "10.55.0.3", "10.55.0.2", "10.56.0.2", "10.55.0.9"
PORTAL6, HOST6 = "fd55::1", "fd55::2"
_ASK = """
import json, sys
from hypervisors.errors import VmportalError
from hypervisors.gateway.consoles.screen_addresses import addresses_from_here, addresses_of_this_machine
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.uris import parse_uri
uri, reported, written = json.loads(sys.argv[1])
try:
    if uri == "qemu:///system":
        print(json.dumps(addresses_of_this_machine(reported)))
    else:
        endpoint = Endpoint(uri=parse_uri(uri), key="x", console_addresses=tuple(written))
        print(json.dumps(addresses_from_here(endpoint, reported)))
except VmportalError as error:
    print(json.dumps(f"{type(error).__name__}: {error}"))
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a namespace with a portal's addresses; names of hosts are in its /etc/hosts."""
    name = f"vmpscr{os.getpid()}"
    names = Path("/etc/netns") / name
    with ExitStack() as undo:
        ip("netns", "add", name)
        undo.callback(ip, "netns", "delete", name)
        names.mkdir(parents=True)
        undo.callback(names.rmdir)
        (names / "hosts").write_text(
            f"127.0.0.1 localhost\n{HOST} host1\n{HOST6} host1\n{HOST6} six\n{PORTAL} sly\n127.0.1.1 loop\n"
            f"127.0.0.1 mixed\n{HOST} mixed\n{NEIGHBOUR} neighbour\n"
        )
        undo.callback((names / "hosts").unlink)
        inside = ("-n", name)
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "link", "add", "lan", "type", "veth", "peer", "name", "far")
        for device in ("lan", "far"):
            ip(*inside, "link", "set", device, "up")
        for address in (f"{PORTAL}/24", f"{SECOND}/24", "192.168.122.1/24"):
            ip(*inside, "address", "add", address, "dev", "lan")
        ip(*inside, "address", "add", f"{PORTAL6}/64", "dev", "lan", "nodad")
        ip(*inside, "route", "add", "local", "10.57.0.0/24", "dev", "lo")
        ip(*inside, "route", "add", "10.56.0.0/24", "dev", "lan")
        yield name


def ask(portal: str, uri: str, reported: str, *written: str) -> list[str] | str:
    command = ["ip", "netns", "exec", portal, sys.executable, "-c", _ASK, json.dumps([uri, reported, written])]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    said: list[str] | str = json.loads(answer)
    return said


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("", [HOST]),
        ("0.0.0.0", [HOST]),
        ("0", [HOST]),
        ("::", [HOST]),
        (HOST, [HOST]),
        ("host1", [HOST]),
        (f"::ffff:{HOST}", [HOST]),
        ("171376642", [HOST]),
        ("0x0a370002", [HOST]),
        ("mixed", [HOST]),
    ],
)
def test_the_hosts_own_address_is_dialled_however_it_is_spelled(
    portal: str, reported: str, expected: list[str]
) -> None:
    assert ask(portal, f"qemu+tcp://{HOST}/system", reported) == expected


@pytest.mark.parametrize(
    "reported",
    [
        *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.53", "::1", "loop"),
        *("::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:0:0:1", "::127.0.0.1"),
        *(PORTAL, SECOND, PORTAL6, "192.168.122.1", f"::ffff:{PORTAL}", "sly", "10.57.0.8", "171376641"),
        *("169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "10.55.0.255"),
        *(NEIGHBOUR, "neighbour", OTHER_NET, "no.such.name.invalid", "a b", "-oProxyCommand=id", "x" * 300),
    ],
)
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_nothing_else_is_dialled_for_a_host_elsewhere(portal: str, transport: str, reported: str) -> None:
    answer = ask(portal, f"qemu+{transport}://{HOST}/system", reported)
    assert isinstance(answer, str), answer
    assert answer.startswith("NotPossible: The screen listens on")


@pytest.mark.parametrize("uri", ["qemu+tcp://sly/system", "qemu+tcp://loop/system", "qemu+tls://sly:1/system"])
@pytest.mark.parametrize("reported", ["", "0.0.0.0", "127.0.0.1", PORTAL])
def test_a_name_that_leads_to_vmportals_own_machine_is_no_host_elsewhere(portal: str, uri: str, reported: str) -> None:
    assert "NotPossible" in ask(portal, uri, reported)


def test_who_registers_a_loopback_address_means_this_machine(portal: str) -> None:
    assert ask(portal, "qemu+tcp://127.0.0.1/system", "127.0.0.1") == ["127.0.0.1"]
    assert ask(portal, "qemu+tcp://localhost/system", "0.0.0.0") == ["127.0.0.1"]
    assert "NotPossible" in ask(portal, "qemu+tcp://127.0.0.1/system", PORTAL)


def test_an_address_that_was_written_down_is_dialled_unless_it_is_vmportals_own(portal: str) -> None:
    uri = f"qemu+tcp://{HOST}/system"
    assert ask(portal, uri, OTHER_NET, OTHER_NET) == [OTHER_NET]
    assert ask(portal, uri, "0.0.0.0", OTHER_NET) == [HOST, OTHER_NET]
    for own in (PORTAL, "192.168.122.1", "127.0.0.1"):
        assert "vmportal's own machine" in ask(portal, uri, own, own)


def test_families_are_told_apart(portal: str) -> None:
    assert ask(portal, "qemu+tcp://host1/system", "0.0.0.0") == [HOST]
    assert ask(portal, "qemu+tcp://host1/system", "::") == [HOST6, HOST]
    assert ask(portal, f"qemu+tcp://[{HOST6}]/system", "::") == [HOST6]
    assert "known by IPv6 only" in ask(portal, f"qemu+tcp://[{HOST6}]/system", "0.0.0.0")
    assert ask(portal, f"qemu+tcp://[{HOST6}]/system", "0.0.0.0", HOST) == [HOST]


def test_a_screen_of_this_machine_is_on_this_machine(portal: str) -> None:
    here = "qemu:///system"
    assert ask(portal, here, "127.0.0.1") == ["127.0.0.1"]
    assert ask(portal, here, "0.0.0.0") == ["127.0.0.1"]
    assert ask(portal, here, "::") == ["::1", "127.0.0.1"]
    assert ask(portal, here, "192.168.122.1") == ["192.168.122.1"]
    assert "no address of this machine" in ask(portal, here, HOST)


def test_what_listens_here_hears_nothing_of_a_console_elsewhere() -> None:
    from hypervisors.errors import NotPossible
    from hypervisors.gateway.consoles.display_links import open_display_link
    from hypervisors.gateway.consoles.displays import VncDisplay
    from hypervisors.gateway.endpoints import Endpoint
    from hypervisors.gateway.uris import parse_uri

    elsewhere = Endpoint(uri=parse_uri("qemu+tcp://192.0.2.77/system"), key="elsewhere")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(0)
        for address in ("localhost", "127.0.0.1", "::ffff:127.0.0.1"):
            with pytest.raises(NotPossible):
                open_display_link(elsewhere, VncDisplay(address=address, port=listener.getsockname()[1]))
        with pytest.raises(BlockingIOError):
            listener.accept()
