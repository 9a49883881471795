"""Systems as the installed osinfo-db describes them, and which of them a medium is of."""

from dataclasses import dataclass

import pytest

from hypervisors.osinfo import all_systems, detect_media, find_system, guess_from_file_name


@dataclass(frozen=True, kw_only=True)
class Labels:
    volume_id: str = ""
    system_id: str = ""
    publisher_id: str = ""
    application_id: str = ""
    volume_size_bytes: int = 0


def test_resources_and_devices_are_inherited() -> None:
    debian, windows = find_system("debian11"), find_system("win11")
    assert debian is not None
    assert windows is not None
    assert (debian.minimum.memory_kib, debian.recommended.disk_bytes) == (1024 * 1024, 20 * 1024**3)
    assert "http://pcisig.com/pci/1af4/1001" in debian.devices  # of an ancestor
    assert windows.needs_uefi
    assert windows.minimum.memory_kib == 4 * 1024 * 1024
    generic_linux = find_system("linux2022")
    assert generic_linux is not None
    assert generic_linux.recommended.memory_kib == 4 * 1024 * 1024  # ubuntu22.04's


def test_a_system_is_found_by_every_name_it_has() -> None:
    debian = find_system("debian11")
    assert debian is not None
    assert find_system("debianbullseye") == find_system(debian.osinfo_id) == debian
    assert find_system("no-such-system") is None
    assert all_systems()[-1].short_id == "generic"


@pytest.mark.parametrize(
    ("labels", "best"),
    [
        (Labels(volume_id="Debian 11.5.0 amd64 n"), "debian11"),
        (Labels(volume_id="Fedora-S-dvd-x86_64-37", system_id="LINUX"), "fedora37"),
        (Labels(volume_id="13_1_RELEASE_AMD64_CD", system_id="FreeBSD"), "freebsd13.1"),
        (Labels(volume_id="alpine-virt 3.17.0 x86_64"), "alpinelinux3.17"),
        (Labels(volume_id="CCCOMA_X64FRE_EN-US_DV9", publisher_id="MICROSOFT CORPORATION"), "win11"),
        (Labels(volume_id="SSS_X64FRE_EN-US_DV9", publisher_id="MICROSOFT CORPORATION"), "win2k25"),
        (Labels(volume_id="Debian 12.5.0 amd64 n"), "debian12"),
        (Labels(volume_id="Debian 13.1.0 amd64 1"), "debian13"),
        (Labels(volume_id="Ubuntu-Server 24.04.1 LTS amd64"), "ubuntu24.04"),
        (Labels(volume_id="Fedora-S-dvd-x86_64-40"), "fedora40"),
        (Labels(volume_id="Fedora-WS-Live-41"), "fedora41"),
        (Labels(volume_id="Fedora-S-dvd-x86_64-88"), "fedora-unknown"),
        (Labels(volume_id="RHEL-9-4-0-BaseOS-x86_64"), "rhel9.4"),
        (Labels(volume_id="RHEL-10-0-BaseOS-x86_64"), "rhel10.0"),
        (Labels(volume_id="CentOS-Stream-10-BaseOS-x86_64"), "centos-stream10"),
        (Labels(volume_id="AlmaLinux-9-3-x86_64-dvd"), "almalinux9"),
        (Labels(volume_id="Rocky-10-0-x86_64-dvd"), "rocky10"),
        (Labels(volume_id="openSUSE-Leap-15.6-DVD-x86_64710", system_id="LINUX"), "opensuse15.6"),
        (Labels(volume_id="14_2_RELEASE_AMD64_CD", system_id="FreeBSD"), "freebsd14.2"),
        (Labels(volume_id="alpine-std 3.20.3 x86_64"), "alpinelinux3.20"),
    ],
)
def test_a_medium_is_known_by_its_labels(labels: Labels, best: str) -> None:
    assert detect_media(labels)[0].short_id == best


def test_media_that_cannot_be_told_apart_are_all_proposed() -> None:
    labels = Labels(volume_id="CCCOMA_X64FRE_EN-US_DV9", publisher_id="MICROSOFT CORPORATION")
    assert {"win11", "win10"} <= {system.short_id for system in detect_media(labels)}
    assert detect_media(Labels(volume_id="NOTHING KNOWN")) == []
    assert detect_media(Labels()) == []


@pytest.mark.parametrize(
    ("name", "short_id"),
    [
        ("debian-11.5.0-amd64-netinst.iso", "debian11"),
        ("Fedora-Server-dvd-x86_64-37-1.7.iso", "fedora37"),
        ("ubuntu-22.04.1-live-server-amd64.iso", "ubuntu22.04"),
        ("jammy-server-cloudimg-amd64.img", "ubuntu22.04"),
        ("Win10_22H2_English_x64.iso", "win10"),
        ("en-us_windows_server_2022_x64_dvd.iso", "win2k22"),
        ("debian-12-genericcloud-amd64.qcow2", "debian12"),
        ("noble-server-cloudimg-amd64.img", "ubuntu24.04"),
        ("ubuntu-24.04.1-desktop-amd64.iso", "ubuntu24.04"),
        ("Fedora-Cloud-Base-Generic.x86_64-40-1.14.qcow2", "fedora40"),
        ("26100.1742_windows_server_2025_x64.iso", "win2k25"),
        ("SERVER_EVAL_x64FRE_en-us.iso", None),
        ("rhel-9.4-x86_64-dvd.iso", "rhel9.4"),
        ("AlmaLinux-10-GenericCloud-latest.x86_64.qcow2", "almalinux10"),
        ("FreeBSD-13.1-RELEASE-amd64-disc1.iso", "freebsd13.1"),
        ("CentOS-Stream-9-latest-x86_64-dvd1.iso", "centos-stream9"),
        ("holiday photos 2022.iso", None),
        ("", None),
    ],
)
def test_a_file_name_is_a_hint(name: str, short_id: str | None) -> None:
    guessed = guess_from_file_name(name)
    assert (guessed and guessed.short_id) == short_id
