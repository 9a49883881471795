"""Which connection URIs are taken, and what is said of the others."""

import pytest

from hypervisors.errors import InvalidUri
from hypervisors.gateway.uris import parse_uri


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "username"),
    [
        ("qemu:///system", "unix", "", None, ""),
        ("qemu+unix:///system?socket=/run/libvirt/other.sock", "unix", "", None, ""),
        ("qemu+tcp://10.0.0.5/system", "tcp", "10.0.0.5", 16509, ""),
        ("qemu+tcp://host-1.example.org:1234/system", "tcp", "host-1.example.org", 1234, ""),
        ("qemu+tcp://[fd00::1]:1234/system", "tcp", "fd00::1", 1234, ""),
        ("qemu+tls://host1/system", "tls", "host1", 16514, ""),
        ("qemu+ssh://root@host1/system", "ssh", "host1", 22, "root"),
        ("  qemu+ssh://virt.admin@host1:2222/system?mode=direct ", "ssh", "host1", 2222, "virt.admin"),
    ],
)
def test_usual_uris_are_taken_apart(text: str, transport: str, host: str, port: int | None, username: str) -> None:
    uri = parse_uri(text)
    assert (uri.transport, uri.host, uri.port, uri.username) == (transport, host, port, username)
    assert str(uri) == text.strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one word"),
        ("nonsense", "is not a hypervisor's URI"),
        ("http://host/system", "is not a hypervisor's URI"),
        ("xen:///system", "another kind"),
        ("esx+ssh://host/", "another kind"),
        ("qemu:///session", "…/system"),
        ("qemu+ssh://host/", "must end in /system"),
        ("qemu+libssh2://host/system", "not a supported transport"),
        ("qemu+tcp:///system", "names no host"),
        ("qemu://host/system", "no transport"),
        ("qemu+tcp://host:99999/system", "not a URI"),
        ("qemu+tcp://host:0/system", "cannot have"),
        ("qemu+tcp://root:secret@host/system", "password"),
        ("qemu+tcp://root@host/system", "Only ssh"),
        ("qemu+ssh://-oProxyCommand=id@host/system", "not a user name"),
        ("qemu+ssh://-oProxyCommand=id/system", "not a host name"),
        ("qemu+ssh://host/system?command=/bin/id", "run a command on this server"),
        ("qemu+ssh://host/system?netcat=/bin/id", "run a command on the hypervisor"),
        ("qemu+ssh://host/system?no_verify=1", "switch verification off"),
        ("qemu+ssh://host/system?keyfile=/root/.ssh/id_rsa", "private key"),
        ("qemu+tls://host/system?pkipath=/etc", "certificates"),
        ("qemu+unix:///system?socket=/run/$(id)", "not a possible value"),
        ("qemu+tcp://host/system?socket=/run/x", "not accepted"),
        ("qemu+tcp://host/system\n", ""),
        ("qemu+tcp://ho st/system", "one word"),
        ("test:///default", "tests only"),
        ("qemu+tcp://" + "a" * 600 + "/system", "one word"),
    ],
)
def test_others_are_refused_with_what_is_wrong(text: str, said: str) -> None:
    if text.endswith("\n"):
        assert parse_uri(text).host == "host"  # surrounding space is a paste's, not an error
        return
    with pytest.raises(InvalidUri, match=said.replace("…", ".")):
        parse_uri(text)


def test_the_test_driver_needs_leave() -> None:
    assert parse_uri("test:///tmp/hosts/h1.xml", allow_test_driver=True).transport == "test"
    with pytest.raises(InvalidUri):
        parse_uri("test:///../x;y", allow_test_driver=True)
