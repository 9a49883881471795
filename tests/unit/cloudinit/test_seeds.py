"""cloud-init seeds: what is in them, whatever people type."""

import email
import io
from typing import Any
from uuid import UUID

import pycdlib
import pytest
import yaml

from hypervisors.cloudinit.checks import (
    check_cloud_init,
    check_hostname,
    check_ssh_key,
    hostname_of,
    parse_user_data,
)
from hypervisors.cloudinit.passwords import hashed
from hypervisors.cloudinit.seeds import SAME_HEAD_BYTES, build_seed, meta_data, network_config, user_data
from hypervisors.cloudinit.settings import CloudInit, NetworkPlan, cloud_init_of

_UUID = UUID("5f1d1f0e-0000-4000-8000-000000000001")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDpX235ytvSD2WGdcRID3mWlplnMDx455TgVBNFbzCrK anna@desk"


def loaded(settings: CloudInit, name: str = "web1") -> dict[str, Any]:
    text = user_data(settings, machine_name=name)
    assert text.startswith("#cloud-config\n")
    values: dict[str, Any] = yaml.safe_load(text)
    return values


# Of glibc's crypt(3).
@pytest.mark.parametrize(
    ("password", "salt", "expected"),
    [
        (
            "Hello world!",
            "saltstring",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "geheim",
            "QiakamOkPxyHpBv3",
            "$6$QiakamOkPxyHpBv3$oVEJrL.nohwMb64of.lUGhJ4Yhb1wAs71884vzY5yG/nQFHeMkbVzVdoTzg9y82RhErL5X0SB6t1basEOXfFC1",
        ),
    ],
)
def test_a_password_is_hashed_as_crypt_does(password: str, salt: str, expected: str) -> None:
    assert hashed(password, salt=salt) == expected


@pytest.mark.parametrize("password", ["", "two\nlines", "x" * 1025])
def test_what_is_no_password_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="password"):
        hashed(password)


def test_a_named_user_has_keys_a_password_and_the_right_to_be_root() -> None:
    settings = CloudInit(user="anna", ssh_keys=(KEY,), password_hash=hashed("geheim"), packages=("nginx",))
    values = loaded(settings)
    (user,) = values["users"]
    assert (user["name"], user["ssh_authorized_keys"], user["lock_passwd"]) == ("anna", [KEY], False)
    assert user["passwd"] == settings.password_hash
    assert (values["ssh_pwauth"], values["packages"], values["package_update"]) == (False, ["nginx"], True)


def test_without_a_user_the_images_own_gets_them() -> None:
    values = loaded(CloudInit(ssh_keys=(KEY,), password_hash=hashed("geheim")))
    assert (values["ssh_authorized_keys"], values["chpasswd"]) == ([KEY], {"expire": False})
    assert "users" not in values


def test_their_mapping_is_merged_into_ours_and_wins() -> None:
    settings = CloudInit(user="anna", user_data="#cloud-config\nusers: [{name: bob}]\nhostname: theirs\nruncmd: [ls]")
    values = loaded(settings)
    assert [user["name"] for user in values["users"]] == ["anna", "bob"]
    assert (values["hostname"], values["runcmd"]) == ("theirs", ["ls"])


def test_their_script_stands_beside_ours() -> None:
    message = email.message_from_string(user_data(CloudInit(user_data="#!/bin/sh\nécho"), machine_name="web1"))
    parts = [(part.get_content_type(), part.get_payload(decode=True)) for part in message.walk()][1:]
    assert [kind for kind, _content in parts] == ["text/cloud-config", "text/x-shellscript"]
    assert parts[1][1] == "#!/bin/sh\nécho".encode()


@pytest.mark.parametrize("text", ["a: : b", "[1, 2", "- just\n- a list", "7", "a: &x [1]\nb: *x", "1: number", "a: \0"])
def test_user_data_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="user data"):
        parse_user_data(text)


def test_user_data_that_would_take_for_ever_is_refused() -> None:
    for bomb in ("[" * 10_000, "a: " * 1000, "x" * 70_000):
        with pytest.raises(ValueError, match="user data"):
            parse_user_data(bomb)


def test_python_in_user_data_is_no_python() -> None:
    with pytest.raises(ValueError, match="no YAML"):
        parse_user_data("a: !!python/object/apply:os.system ['true']")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("ssh-ed25519 AAAA", "cut off"),
        (KEY[:60], "cut off"),
        (KEY.replace("ssh-ed25519 ", "ssh-rsa "), "cut off"),
        (KEY + "\nssh-rsa x", "one line"),
        ('command="x" ' + KEY, "begins with its type"),
        ("", "begins with its type"),
    ],
)
def test_what_is_no_public_key_is_told(key: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_ssh_key(key)


@pytest.mark.parametrize("name", ["", "-x", "a..b", "a_b", "x" * 64, "10.0", "ü"])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        check_hostname(name)


@pytest.mark.parametrize(
    ("machine", "expected"), [("web 1", "web-1"), ("Ünï", "n"), ("12", "vm-12"), ("💥", "guest"), ("x" * 80, "x" * 63)]
)
def test_a_host_name_is_made_of_the_machines(machine: str, expected: str) -> None:
    assert hostname_of(machine) == expected
    check_hostname(hostname_of(machine))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"addresses": ("192.0.2.10",)}, "length of its network"),
        ({"addresses": ("192.0.2.0/24",)}, "the network itself"),
        ({"addresses": ("192.0.2.300/24",)}, "no address"),
        ({"addresses": ("192.0.2.10/24",), "gateway4": "198.51.100.1"}, "not in the network"),
        ({"addresses": ("192.0.2.10/24",), "gateway4": "192.0.2.10"}, "cannot be both"),
        ({"gateway4": "fe80::1"}, "version 4"),
        ({"nameservers": ("dns",)}, "name server"),
    ],
)
def test_addresses_that_cannot_be_are_told(plan: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_cloud_init(CloudInit(networks=(NetworkPlan(**plan),)))


def test_a_card_is_found_by_its_address() -> None:
    plan = NetworkPlan(
        mac="52:54:00:AA:BB:CC",
        dhcp4=False,
        addresses=("192.0.2.10/24",),
        gateway4="192.0.2.1",
        nameservers=("192.0.2.1",),
    )
    card = yaml.safe_load(network_config([plan, NetworkPlan(mac="52:54:00:00:00:01")]))["ethernets"]
    assert card["eth0"] == {
        "match": {"macaddress": "52:54:00:aa:bb:cc"},
        "set-name": "eth0",
        "dhcp4": False,
        "dhcp6": False,
        "addresses": ["192.0.2.10/24"],
        "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}],
        "nameservers": {"addresses": ["192.0.2.1"]},
    }
    # Clones of one image share their machine-id, and with it a lease.
    assert card["eth1"]["dhcp-identifier"] == "mac"


def test_the_image_holds_three_files_and_its_head_is_the_same_each_time() -> None:
    settings = CloudInit(user="anna", networks=(NetworkPlan(mac="52:54:00:00:00:01"),))
    seed, again = (build_seed(settings, machine_name=name, uuid=_UUID) for name in ("web1", "another"))
    assert seed[:SAME_HEAD_BYTES] == again[:SAME_HEAD_BYTES]
    assert seed[32808:32814] == b"cidata"
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(seed))
    found = {}
    for name in ("user-data", "meta-data", "network-config"):
        content = io.BytesIO()
        image.get_file_from_iso_fp(content, joliet_path=f"/{name}")
        found[name] = content.getvalue().decode()
    assert found["user-data"] == user_data(settings, machine_name="web1")
    assert found["meta-data"] == meta_data(settings, machine_name="web1", uuid=_UUID)
    assert yaml.safe_load(found["meta-data"]) == {"instance-id": str(_UUID), "local-hostname": "web1"}


def test_nothing_typed_can_become_more_than_a_text() -> None:
    nasty = "x\"\n  - evil: 'yes'\n#cloud-config\n: {}"
    values = loaded(CloudInit(user="anna", user_data=yaml.safe_dump({"motd": nasty})), name=nasty)
    assert values["motd"] == nasty
    assert values["hostname"] == hostname_of(nasty)
    assert set(values) == {"hostname", "manage_etc_hosts", "users", "motd"}


def test_settings_of_another_version_are_read() -> None:
    stored = {"user": "anna", "ssh_keys": [KEY], "networks": [{"dhcp4": False, "new": 1}], "colour": "red"}
    settings = cloud_init_of(stored)
    assert (settings.user, settings.ssh_keys, settings.networks) == ("anna", (KEY,), (NetworkPlan(dhcp4=False),))
