"""Answers for installers: filled in as data, with hashed passwords, and in the installer's language."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hypervisors.osinfo import InstallConfig, all_systems, find_system, render_install_script, script_profiles
from hypervisors.osinfo.systems import Medium, OperatingSystem

HASH, ROOT_HASH = "$6$saltsalt$userhash/userhash.", "$6$saltsalt$roothash/roothash."
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ada@example"
CONFIG = InstallConfig(
    user="ada",
    user_name="Ada Lovelace",
    password_hash=HASH,
    root_password_hash=ROOT_HASH,
    ssh_keys=(KEY,),
    hostname="web1",
    timezone="Europe/Berlin",
    language="de_DE",
    target_disk="/dev/sda",
)
DVD = Medium(arch="x86_64")


def system(short_id: str) -> OperatingSystem:
    found = find_system(short_id)
    assert found is not None
    return found


def test_kickstart_is_filled_in_with_hashes() -> None:
    script = render_install_script(system("fedora37"), "jeos", CONFIG, medium=DVD)
    lines = script.content.splitlines()
    assert f"rootpw --iscrypted {ROOT_HASH}" in lines
    assert f'sshkey --username=ada "{KEY}"' in lines
    assert lines.index(f'sshkey --username=ada "{KEY}"') < lines.index("%packages")
    assert f"user --name=ada --groups=wheel --iscrypted --password={HASH}" in lines
    assert "useradd" not in script.content
    assert {"cdrom", "keyboard 'de'", "timezone --utc Europe/Berlin"} <= set(lines)
    assert "clearpart --all --drives=/dev/sda" in lines
    assert (script.file_name, script.volume_label) == ("ks.cfg", "OEMDRV")
    assert script.command_line == "inst.ks=file:/ks.cfg"
    assert not script.needs_network


def test_over_the_network_kickstart_names_its_tree() -> None:
    config = replace(CONFIG, tree_url="https://mirror.example/fedora/37/os")
    script = render_install_script(system("fedora37"), "jeos", config)
    assert "url  --url=https://mirror.example/fedora/37/os" in script.content
    assert "inst.repo=https://mirror.example/fedora/37/os" in script.command_line
    assert script.needs_network


def test_preseed_is_filled_in_with_hashes_and_says_what_it_leaves_out() -> None:
    script = render_install_script(system("debian12"), "jeos", CONFIG, medium=DVD)
    lines = script.content.splitlines()
    assert f"d-i passwd/root-password-crypted password {ROOT_HASH}" in lines
    assert f"d-i passwd/user-password-crypted password {HASH}" in lines
    assert "d-i passwd/username string ada" in lines
    assert not any("again" in line for line in lines)
    assert (script.file_name, script.volume_label) == ("preseed.cfg", "")
    assert "SSH keys" in script.notes[0]


def test_autoyast_is_xml_with_hashes() -> None:
    script = render_install_script(system("opensuse15.4"), "jeos", CONFIG, medium=DVD)
    root = etree.fromstring(script.content.encode())
    texts = [(e.text or "").strip() for e in root.iter() if str(e.tag).endswith(("user_password", "}encrypted"))]
    assert sorted(texts) == sorted([HASH, ROOT_HASH, "true", "true"])


def test_root_has_the_users_password_where_it_has_none_of_its_own() -> None:
    script = render_install_script(system("fedora37"), "jeos", replace(CONFIG, root_password_hash=""), medium=DVD)
    assert f"rootpw --iscrypted {HASH}" in script.content


def test_every_script_that_is_offered_can_be_rendered() -> None:
    rendered = 0
    for one in all_systems():
        for profile in script_profiles(one):
            content = render_install_script(one, profile, CONFIG, medium=DVD).content
            assert HASH in content or ROOT_HASH in content
            assert "token" not in content.replace("tokenizer", "")
            rendered += 1
    assert rendered > 100


@pytest.mark.parametrize("short_id", ["win10", "win11", "alpinelinux3.17", "freebsd13.1", "generic", "ubuntu24.04"])
def test_systems_without_a_script_say_so(short_id: str) -> None:
    assert script_profiles(system(short_id)) == ()
    with pytest.raises(ValueError, match="has no script"):
        render_install_script(system(short_id), "jeos", CONFIG, medium=DVD)


def test_media_that_take_no_script_offer_none() -> None:
    assert script_profiles(system("fedora37"), medium=replace(DVD, takes_script=False)) == ()


FIELDS = ("user", "user_name", "hostname", "timezone", "language", "keyboard", "target_disk", "tree_url")
HOSTILE = [
    "a'b",
    'a"b',
    "a;b",
    "a\nb",
    "$(reboot)",
    "`reboot`",
    "a b\nrootpw x",
    "<x/>",
    "a&&b",
    "a|b",
    "%end",
    "/dev/../x",
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_script_cannot_carry_is_refused_in_words(field: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^The .*\.$"):
        replace(CONFIG, **{field: text})


@pytest.mark.parametrize("key", ["ssh-rsa AAAA\nssh-rsa BBBB", 'ssh-rsa AAAA" --x', "ssh-rsa AAAA $(x)", "no key", ""])
def test_what_is_no_ssh_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="SSH key"):
        replace(CONFIG, ssh_keys=(key,))


def test_a_plain_password_is_never_taken() -> None:
    with pytest.raises(ValueError, match="hash"):
        replace(CONFIG, password_hash="secret")
    with pytest.raises(ValueError, match="needs a password"):
        replace(CONFIG, password_hash="", root_password_hash="")
    with pytest.raises(ValueError, match="root"):
        replace(CONFIG, user="root")


@given(name=st.text(max_size=30), host=st.text(max_size=30))
def test_whatever_is_typed_stands_in_one_line_or_is_refused(name: str, host: str) -> None:
    try:
        config = replace(CONFIG, user_name=name, hostname=host or "localhost")
    except ValueError:
        return
    before = render_install_script(system("debian12"), "jeos", CONFIG, medium=DVD).content
    after = render_install_script(system("debian12"), "jeos", config, medium=DVD).content
    assert len(after.splitlines()) == len(before.splitlines())
