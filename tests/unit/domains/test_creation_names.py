"""Names, addresses and trees of new machines: pure functions."""

import pytest

from hypervisors.errors import NotPossible
from hypervisors.operations.domains.creation.names import counted_address, new_mac, numbered_names
from hypervisors.operations.domains.creation.requests import numbered
from hypervisors.operations.domains.creation.trees import check_tree_url, tree_in


@pytest.mark.parametrize(
    ("pattern", "count", "first", "expected"),
    [
        ("web", 1, 1, ["web"]),
        ("web", 2, 1, ["web-1", "web-2"]),
        ("web-{n}", 2, 9, ["web-9", "web-10"]),
        ("web{nnn}x", 2, 99, ["web099x", "web100x"]),
        ("{n}-{nn}", 1, 0, ["0-00"]),
    ],
)
def test_names_count_up(pattern: str, count: int, first: int, expected: list[str]) -> None:
    assert numbered_names(pattern, count, first=first) == expected


@pytest.mark.parametrize(("count", "first"), [(0, 1), (101, 1), (2, -1), (2, 10**10)])
def test_counts_that_cannot_be_are_refused(count: int, first: int) -> None:
    with pytest.raises(NotPossible):
        numbered_names("web", count, first=first)


@pytest.mark.parametrize(
    ("address", "steps", "expected"),
    [
        ("192.0.2.9/24", 2, "192.0.2.11/24"),
        ("2001:db8::f/64", 1, "2001:db8::10/64"),
        ("192.0.2.9/24", 0, "192.0.2.9/24"),
    ],
)
def test_addresses_count_up(address: str, steps: int, expected: str) -> None:
    assert counted_address(address, steps) == expected


@pytest.mark.parametrize(("address", "steps"), [("192.0.2.254/24", 1), ("192.0.2.250/24", 10), ("192.0.2.1/32", 1)])
def test_addresses_do_not_leave_their_network(address: str, steps: int) -> None:
    with pytest.raises(NotPossible, match="has not so many addresses"):
        counted_address(address, steps)


def test_addresses_of_cards_are_qemus_and_none_is_given_twice() -> None:
    macs = {new_mac() for _ in range(50)}
    assert all(mac.startswith("52:54:00:") for mac in macs)
    assert len(macs) > 45


def test_each_of_several_has_its_own_of_all_that_must_differ() -> None:
    given = {
        "name": "web-{n}",
        "spec": {"uuid": "x", "interfaces": [{"source": "default", "mac": "52:54:00:00:00:01"}]},
        "disks": [{"action": "new", "volume_name": "same.qcow2"}],
        "cloud_init": {"hostname": "same", "networks": [{"addresses": ["192.0.2.1/24"]}]},
    }
    first, second = numbered(given, 2)
    assert (first["name"], second["name"]) == ("web-1", "web-2")
    assert "uuid" not in second["spec"]
    assert second["spec"]["interfaces"] == [{"source": "default", "mac": ""}]
    assert second["disks"] == [{"action": "new", "volume_name": ""}]
    assert second["cloud_init"] == {"hostname": "", "networks": [{"addresses": ["192.0.2.2/24"]}]}
    assert given["spec"]["uuid"] == "x"


def test_a_tree_says_where_its_kernel_is() -> None:
    text = "[general]\narch = x86_64\n[images-x86_64]\nkernel = images/vmlinuz\ninitrd = images/initrd.img\n"
    tree = tree_in(text)
    assert tree is not None
    assert (tree.kernel, tree.initrd, tree.argument) == ("images/vmlinuz", "images/initrd.img", "inst.repo")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no ini",
        "[images-x86_64]\nkernel = /etc/passwd\ninitrd = x",
        "[images-x86_64]\nkernel = ../../x\ninitrd = x",
        "[images-x86_64]\nkernel = http://elsewhere/x\ninitrd = x",
        "[images-x86_64]\nkernel = x",
    ],
)
def test_a_tree_that_leads_elsewhere_is_not_followed(text: str) -> None:
    assert tree_in(text) is None


@pytest.mark.parametrize(
    "url", ["", "ftp://x/", "file:///etc", "http://", "http://a:b@c/", "http://x/?q", "http://x/\n"]
)
def test_what_is_no_tree_is_refused_from_its_text(url: str) -> None:
    with pytest.raises(NotPossible):
        check_tree_url(url)
