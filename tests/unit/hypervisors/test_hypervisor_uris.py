"""Which connection URIs are taken, and what is said of the others."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hypervisors.errors import InvalidUri
from hypervisors.gateway.uris import DEFAULT_PORTS, parse_uri


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
        ("qemu+unix:///system?socket=/run/$(id)", "cannot have"),
        ("qemu+unix:///system?socket=run/x", "not a possible value"),
        ("qemu+tcp://host/system?socket=/run/x", "not accepted"),
        ("qemu+tcp://host/system\n", ""),
        ("qemu+tcp://ho st/system", "one word"),
        ("qemu+ssh://host/system#", "cannot have"),
        ("qemu+ssh://host/system?#", "cannot have"),
        ("qemu+ssh://host/system?mode=direct#x", "cannot have"),
        ("qemu+ssh://host/system?mode=auto&mode=direct", "twice"),
        ("qemu+ssh://host/system?socket=/run/a&socket=/run/b", "twice"),
        ("qemu+ssh://host/system?%63ommand=/bin/id", "cannot have"),
        ("qemu+ssh://host/system?mode=auto;command=/bin/id", "cannot have"),
        ("qemu+ssh://host/system?COMMAND=/bin/id", "not accepted"),
        ("qemu+ssh://host/system?mode", "not a possible value"),
        ("qemu+ssh://ho%73t/system", "cannot have"),
        ("qemu+ssh://a@b@host/system", "cannot have"),
        ("qemu+ssh://@host/system", "cannot have"),
        ("qemu+ssh://other[::1]:22/system", "not a URI|cannot have"),
        ("qemu+ssh://[::1]other/system", "not a URI|cannot have"),
        ("qemu+ssh://[fe80::1%25eth0]/system", "cannot have|not a URI"),
        ("qemu+ssh://host//system", "must end in /system"),
        ("qemu+ssh://host/system/", "must end in /system"),
        ("qemu+ssh://host/../system", "must end in /system"),
        ("qemu+ssh:host/system", "names no host"),
        ("qemu+tcp://2130706433/system", "not a host name"),
        ("qemu+tcp://127.1/system", "not a host name"),
        ("qemu+tcp://0x7f000001/system", "not a host name"),
        ("qemu+tcp://hôte/system", "cannot have"),
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


@pytest.mark.parametrize(
    ("text", "built"),
    [
        ("QEMU+SSH://root@HOST1/system", "qemu+ssh://root@host1/system"),
        ("qemu+ssh://host1:22/system?", "qemu+ssh://host1/system"),
        ("qemu+tls://[FD00:0:0::1]:16514/system", "qemu+tls://[fd00::1]/system"),
        ("qemu+unix:///system", "qemu:///system"),
        ("qemu+ssh://h/system?proxy=native&mode=direct", "qemu+ssh://h/system?mode=direct&proxy=native"),
    ],
)
def test_all_spellings_of_a_uri_become_one(text: str, built: str) -> None:
    assert parse_uri(text).text == built


BUILT = re.compile(
    r"qemu(\+unix)?:///system(\?[a-z=/A-Z0-9._+&-]+)?|"
    r"qemu\+(tcp|tls|ssh)://([A-Za-z0-9_][A-Za-z0-9._-]*\$?@)?([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?/system"
    r"(\?(?:&?(?:socket=/[A-Za-z0-9/._+-]+|mode=(?:auto|direct|legacy)|proxy=(?:auto|netcat|native)))+)?"
)
PIECES = st.sampled_from(
    [
        *(
            "qemu",
            "+ssh",
            "+tcp",
            "+tls",
            "+unix",
            "://",
            ":///",
            "/system",
            "/session",
            "?",
            "&",
            ";",
            "=",
            "#",
            "%23",
        ),
        *("@", ":", "[", "]", "::1", "root", "host1", "10.0.0.1", "22", "16509", "mode=direct", "socket=/run/x", "\\"),
        *(
            "command=/bin/id",
            "keyfile=/k",
            "%63ommand=",
            "netcat=nc",
            "no_verify=1",
            "proxy=native",
            "$",
            "~",
            " ",
            "\t",
        ),
    ]
)


@given(text=st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join)))
@example(text="qemu+ssh://root@host1/system?#")
@settings(max_examples=1000)
def test_whatever_is_accepted_comes_out_in_the_allowed_form_and_stays_so(text: str) -> None:
    try:
        uri = parse_uri(text)
    except InvalidUri:
        return
    assert BUILT.fullmatch(uri.text), uri.text
    assert parse_uri(uri.text) == uri
    assert uri.with_parameters(command="/x y#&").endswith("command=/x%20y%23%26")


@given(
    transport=st.sampled_from(sorted(DEFAULT_PORTS)),
    host=st.one_of(st.ip_addresses().map(str), st.from_regex(r"[a-z][a-z0-9]{0,10}(\.[a-z]{1,5})?", fullmatch=True)),
    port=st.one_of(st.none(), st.integers(1, 65535)),
    query=st.sampled_from(["", "?", "?mode=direct", "?mode=auto"]),
)
def test_what_is_asked_for_is_what_is_built(transport: str, host: str, port: int | None, query: str) -> None:
    address = f"[{host}]" if ":" in host else host
    uri = parse_uri(f"qemu+{transport}://{address}{f':{port}' if port else ''}/system{query}")
    assert (uri.transport, uri.port) == (transport, port or DEFAULT_PORTS[transport])
    assert parse_uri(uri.text) == uri
