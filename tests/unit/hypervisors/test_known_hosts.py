"""Which keys of a known_hosts text a host may present: its own, never those of another host."""

import base64
import hashlib
import hmac

import pytest

from hypervisors.gateway.known_hosts import bind_known_hosts, usable_host_keys
from tests.host_keys import host_key

A, B, C = host_key(1), host_key(2, "ssh-rsa"), host_key(3)


def hashed(name: str) -> str:
    digest = hmac.digest(b"s" * 20, name.encode(), hashlib.sha1)
    return f"|1|{base64.b64encode(b's' * 20).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        f"host1 {A} comment",
        A,
        f"HOST1,10.0.0.1 {A}",
        f"[host1]:22 {A}",
        f"{hashed('host1')} {A}",
        f"host2 {B}\nhost1 {A}\n{hashed('host3')} {C}",
        f"# host2 {B}\n\nhost1 {A}\nhost1 {A}\r\n",
    ],
)
def test_only_the_hosts_own_keys_are_kept_under_its_one_name(text: str) -> None:
    assert bind_known_hosts(text, "host1", 22) == f"host1 {A}"


def test_another_port_is_another_host() -> None:
    text = f"host1 {A}\n[host1]:2222 {B}\n{hashed('[host1]:2222')} {C}"
    assert bind_known_hosts(text, "host1", 2222).splitlines() == [f"[host1]:2222 {B}", f"[host1]:2222 {C}"]
    assert bind_known_hosts(text, "host1", 22) == f"host1 {A}"


def test_several_kinds_of_keys_of_one_host_are_fine() -> None:
    assert bind_known_hosts(f"host1 {A}\nhost1 {B}", "host1", 22).splitlines() == [f"host1 {A}", f"host1 {B}"]


def test_no_text_is_no_key() -> None:
    assert bind_known_hosts(" \n", "host1", 22) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "No ssh host key"),
        ("host1 ssh-ed25519 AAAA", "No ssh host key"),
        (f"host1 ssh-rsa {A.split()[1]}", "No ssh host key"),
        (f"host2,host3 {A}", "None of these keys is of host1: they are of host2, host3"),
        (f"{hashed('host2')} {A}", "a hashed name"),
        (f"* {A}", "stands for many hosts"),
        (f"host? {A}", "stands for many hosts"),
        (f"*,!host2 {A}", "stands for many hosts"),
        (f"host1 {A}\n@cert-authority *.example.org {B}", "cert-authority"),
        (f"@revoked host1 {A}", "revoked"),
        (f"host1 {A}\n@revoked * {A}", "None of these keys is of host1|revoked"),
    ],
)
def test_what_cannot_be_accepted_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        bind_known_hosts(text, "host1", 22)


def test_a_revoked_key_stays_revoked() -> None:
    bound = bind_known_hosts(f"host1 {A}\n@revoked host1 {B}\n@revoked host2 {C}", "host1", 22)
    assert bound.splitlines() == [f"host1 {A}", f"@revoked host1 {B}"]


def test_lines_stored_long_ago_give_nobody_else_the_hosts_name() -> None:
    assert usable_host_keys(f"host2 {A}\n* {B}\n@cert-authority host1 {C}", "host1", 22) == ()
