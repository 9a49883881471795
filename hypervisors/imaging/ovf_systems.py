"""Which system a descriptor names: VMware's and VirtualBox' identifiers, and CIM's numbers, to osinfo's short ids.

VMware's are those of `VirtualMachineGuestOsIdentifier`; the numbers those of CIM_OperatingSystem.OsType.
The newest of a family stands for what is not told more precisely.
"""

import re

_VMWARE = {
    "almalinux": "almalinux9",
    "amazonlinux2": "generic",
    "asianux": "generic",
    "centos6": "centos6.10",
    "centos7": "centos7.0",
    "centos8": "centos8",
    "centos9": "centos-stream9",
    "debian": "debian11",
    "fedora": "fedora37",
    "freebsd11": "freebsd11.4",
    "freebsd12": "freebsd12.3",
    "freebsd13": "freebsd13.1",
    "freebsd14": "freebsd13.1",
    "freebsd": "freebsd13.1",
    "opensuse": "opensuse15.4",
    "oraclelinux": "ol8.5",
    "other3xlinux": "linux2016",
    "other4xlinux": "linux2020",
    "other5xlinux": "linux2022",
    "other6xlinux": "linux2022",
    "otherlinux": "linux2022",
    "rhel6": "rhel6.10",
    "rhel7": "rhel7.9",
    "rhel8": "rhel8.6",
    "rhel9": "rhel9.1",
    "rockylinux": "rocky9",
    "sles12": "sles12sp5",
    "sles15": "sle15sp4",
    "sles": "sle15sp4",
    "ubuntu": "ubuntu22.04",
    "windows7": "win7",
    "windows8": "win8.1",
    "windows9server": "win2k16",
    "windows9": "win10",
    "windows11": "win11",
    "windows2019srv": "win2k19",
    "windows2019srvnext": "win2k22",
    "windows2022srvnext": "win2k22",
    "windows7server": "win2k8r2",
    "windows8server": "win2k12r2",
    "winlonghorn": "win2k8",
    "winxp": "winxp",
    "winnetenterprise": "win2k3",
    "winnetstandard": "win2k3",
}
_VMWARE_NUMBERED = re.compile(r"debian(\d{1,2})")
_VIRTUALBOX = {
    "archlinux": "archlinux",
    "debian": "debian11",
    "fedora": "fedora37",
    "freebsd": "freebsd13.1",
    "linux26": "linux2022",
    "opensuse": "opensuse15.4",
    "oracle": "ol8.5",
    "redhat": "rhel9.1",
    "ubuntu": "ubuntu22.04",
    "windows7": "win7",
    "windows8": "win8",
    "windows81": "win8.1",
    "windows10": "win10",
    "windows11": "win11",
    "windows2016": "win2k16",
    "windows2019": "win2k19",
    "windows2022": "win2k22",
}
# https://schemas.dmtf.org: CIM_OperatingSystem, OsType.
_CIM = {
    36: "linux2022",
    42: "freebsd13.1",
    67: "winxp",
    69: "win2k3",
    73: "winvista",
    76: "win2k8",
    79: "rhel9.1",
    80: "rhel9.1",
    82: "sle15sp4",
    85: "sle15sp4",
    93: "ubuntu22.04",
    94: "ubuntu22.04",
    95: "debian11",
    96: "debian11",
    100: "linux2022",
    101: "linux2022",
    103: "win2k8r2",
    105: "win7",
    106: "centos-stream9",
    107: "centos-stream9",
    108: "ol8.5",
    109: "ol8.5",
    113: "win2k12",
    114: "win8",
    115: "win8.1",
    116: "win2k12r2",
    117: "win2k16",
    120: "win10",
}
GENERIC = "generic"


def system_of(*, vmware: str, virtualbox: str, number: int | None) -> str:
    """osinfo's short id; GENERIC when nothing is known of it."""
    return _of_vmware(vmware) or _of_virtualbox(virtualbox) or _CIM.get(number or 0, GENERIC)


def _of_vmware(identifier: str) -> str:
    """Like "debian11_64Guest"."""
    plain = re.sub(r"(_?64)?guest$", "", identifier.strip().lower())
    numbered = _VMWARE_NUMBERED.fullmatch(plain)
    if numbered is not None and 7 <= int(numbered[1]) <= 12:
        return f"debian{numbered[1]}"
    return _VMWARE.get(plain, "") or _VMWARE.get(plain.rstrip("0123456789_"), "")


def _of_virtualbox(identifier: str) -> str:
    """Like "Debian_64", "Debian12_64"."""
    plain = re.sub(r"_(64|arm64)$", "", identifier.strip().lower())
    return _VIRTUALBOX.get(plain, "") or _VIRTUALBOX.get(plain.rstrip("0123456789_"), "")
