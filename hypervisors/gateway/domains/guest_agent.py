"""What a guest says of itself, and what it does when asked, by the QEMU guest agent in it.

https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainGetGuestInfo. The answers are the guest's: of bounded
length and number, without control characters, and no more true than the guest wants. An agent that hangs holds up its
own domain's agent calls alone, each for as long as libvirt was told to wait.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import libvirt

from hypervisors.errors import HypervisorError, OperationRefused
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.failures import message_of

READ_SECONDS = 5
# Of what has to write to disks first.
ACTION_SECONDS = 60
_MOST_TEXT, _MOST_ITEMS, _MOST_KEYS = 200, 32, 100
# Of one SSH key; the longest that are in use have 3,000 characters.
MOST_KEY = 8000
_MOST_BYTES = 2**62
_UNKNOWN_COMMAND = re.compile(
    r"has not been found|has been disabled|command.*not (found|allowed|supported)", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """As the guest has it mounted; `disks`: the targets ("vda") that it is on, else the guest's names of them."""

    mount: str
    type: str
    total_bytes: int
    used_bytes: int
    disks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GuestFacts:
    """Empty where the guest does not say. `addresses`: by MAC, in lower case."""

    host_name: str = ""
    os_name: str = ""
    os_id: str = ""
    kernel: str = ""
    time_zone: str = ""
    users: tuple[str, ...] = ()
    addresses: Mapping[str, tuple[str, ...]]
    file_systems: tuple[FileSystem, ...] = ()


def read_guest(connection: Connection, uuid: UUID) -> GuestFacts:
    """All that the agent tells; what it cannot is left out. Raises: errors.DomainNotAnswering, HypervisorError."""
    what = "ask the guest agent"
    with translated(what):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        domain.agentSetResponseTimeout(READ_SECONDS)
        try:
            said: dict[str, Any] = domain.guestInfo(0, 0)
            addresses = _addresses(connection, uuid, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        except ValueError as error:
            raise OperationRefused(f"Could not {what}: it says what is no text.") from error
        finally:
            # It holds for whoever asks next: a freeze before a snapshot takes longer than a question.
            with suppress(libvirt.libvirtError):
                domain.agentSetResponseTimeout(ACTION_SECONDS)
    return facts_of(said, addresses)


def read_arp_addresses(connection: Connection, uuid: UUID) -> dict[str, tuple[str, ...]]:
    """By MAC, of what the host has heard of the guest; asks nothing of the guest. Raises: errors.HypervisorError."""
    return _addresses(connection, uuid, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP)


def set_time(connection: Connection, uuid: UUID, moment: datetime) -> None:
    """Set the guest's clock. Raises: errors.HypervisorError."""
    with translated("set the guest's clock"):
        domain = _patient(connection, uuid)
        seconds = moment.astimezone(UTC).timestamp()
        domain.setTime({"seconds": int(seconds), "nseconds": int(seconds % 1 * 1e9)}, 0)


def trim_file_systems(connection: Connection, uuid: UUID) -> None:
    """Have the guest tell its disks what it does not use. Raises: errors.HypervisorError."""
    with translated("trim the guest's file systems"):
        _patient(connection, uuid).fSTrim(None, 0, 0)


def freeze(connection: Connection, uuid: UUID) -> int:
    """Have the guest write down all it has and hold still; how many file systems do. Raises: errors.HypervisorError."""
    with translated("freeze the guest's file systems"):
        return int(_patient(connection, uuid).fsFreeze())


def thaw(connection: Connection, uuid: UUID) -> int:
    """Let them go on; how many did. Raises: errors.HypervisorError."""
    with translated("thaw the guest's file systems"):
        return int(_patient(connection, uuid).fsThaw())


def set_password(connection: Connection, uuid: UUID, *, user: str, password: str) -> None:
    """Of somebody who has an account in the guest. Raises: errors.HypervisorError, which does not tell the password."""
    with translated(f"set the password of {user}"):
        _patient(connection, uuid).setUserPassword(user, password, 0)


def list_ssh_keys(connection: Connection, uuid: UUID, user: str) -> list[str]:
    """Lines of the account's authorized_keys, of bounded length and number. Raises: errors.HypervisorError."""
    with asked_of_agent(f"read the SSH keys of {user}"):
        return list(_keys_as_shown(_patient(connection, uuid), user))[:_MOST_KEYS]


def add_ssh_key(connection: Connection, uuid: UUID, user: str, key: str) -> None:
    """Raises: errors.HypervisorError."""
    with asked_of_agent(f"add an SSH key of {user}"):
        flags = libvirt.VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND
        _patient(connection, uuid).authorizedSSHKeysSet(user, [key], flags)


def remove_ssh_key(connection: Connection, uuid: UUID, user: str, key: str) -> None:
    """`key`: as `list_ssh_keys` gives it. Raises: errors.HypervisorError."""
    with asked_of_agent(f"remove an SSH key of {user}"):
        domain = _patient(connection, uuid)
        # What the guest has may be longer, or hold what is not shown; only the very line is taken away.
        lines = _keys_as_shown(domain, user).get(key)
        if lines is None:
            raise OperationRefused(f"Could not remove an SSH key of {user}: there is no such key any more.")
        domain.authorizedSSHKeysSet(user, lines, libvirt.VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE)


def _keys_as_shown(domain: Any, user: str) -> dict[str, list[str]]:
    """The guest's lines by what is shown of them."""
    try:
        lines = domain.authorizedSSHKeysGet(user, 0) or []
    except libvirt.libvirtError as error:
        if "No such file or directory" not in message_of(error):
            raise
        # An account that never had any.
        lines = []
    found: dict[str, list[str]] = {}
    for line in lines:
        if shown := _text(line, most=MOST_KEY):
            found.setdefault(shown, []).append(line)
    return found


@contextmanager
def asked_of_agent(what: str) -> Iterator[None]:
    """As `translated`; of what an agent answers, which may be anything, one short line, and what it means.

    https://qemu.readthedocs.io/en/v7.2.0/interop/qemu-ga-ref.html: commands that came later, or that the guest's
    administrator has switched off, are refused by name.
    """
    try:
        with translated(what):
            yield
    except OperationRefused as error:
        said = _text(str(error), most=300)
        if _UNKNOWN_COMMAND.search(said):
            said = (
                f"Could not {what}: the guest's agent does not know how, or is not allowed to. SSH keys take "
                "qemu-guest-agent 5.2 or later, with guest-ssh-* commands that are not switched off in the guest."
            )
        raise OperationRefused(said, libvirt_code=error.libvirt_code) from error
    except ValueError as error:
        raise OperationRefused(f"Could not {what}: the guest's agent says what is no text.") from error


def _patient(connection: Connection, uuid: UUID) -> Any:
    """The domain, whose agent has a minute for what comes."""
    domain = connection.raw.lookupByUUID(uuid.bytes)
    domain.agentSetResponseTimeout(ACTION_SECONDS)
    return domain


def _addresses(connection: Connection, uuid: UUID, source: int) -> dict[str, tuple[str, ...]]:
    try:
        with translated("read the guest's addresses"):
            found = connection.raw.lookupByUUID(uuid.bytes).interfaceAddresses(source) or {}
    except (HypervisorError, ValueError):
        # An agent that cannot tell them tells all else.
        return {}
    addresses: dict[str, tuple[str, ...]] = {}
    for interface in list(found.values())[:_MOST_ITEMS]:
        mac = _text(interface.get("hwaddr")).lower()
        told = [_text(one.get("addr")) for one in (interface.get("addrs") or [])[:_MOST_ITEMS]]
        useful = tuple(address for address in told if _is_useful(address))
        if mac and useful and mac != "00:00:00:00:00:00":
            addresses[mac] = addresses.get(mac, ()) + useful
    return addresses


def _is_useful(address: str) -> bool:
    """Nobody reaches a guest by its addresses for itself and for its wire."""
    return bool(address) and not address.startswith(("127.", "169.254.", "fe80:")) and address != "::1"


def facts_of(said: Mapping[str, Any], addresses: Mapping[str, tuple[str, ...]]) -> GuestFacts:
    """Of libvirt's flat answer, whatever the guest has put into it."""
    return GuestFacts(
        host_name=_text(said.get("hostname")),
        os_name=_text(said.get("os.pretty-name")) or _text(said.get("os.name")),
        os_id=_text(said.get("os.id")),
        kernel=_text(said.get("os.kernel-release")),
        time_zone=_text(said.get("timezone.name")),
        users=tuple(dict.fromkeys(filter(None, (_text(said.get(f"user.{n}.name")) for n in _count(said, "user"))))),
        addresses=addresses,
        file_systems=tuple(_file_system(said, f"fs.{n}") for n in _count(said, "fs")),
    )


def _file_system(said: Mapping[str, Any], at: str) -> FileSystem:
    places = [f"{at}.disk.{n}" for n in _count(said, f"{at}.disk")]
    disks = (_text(said.get(f"{place}.alias")) or _text(said.get(f"{place}.device")) for place in places)
    return FileSystem(
        mount=_text(said.get(f"{at}.mountpoint")),
        type=_text(said.get(f"{at}.fstype")),
        total_bytes=_number(said.get(f"{at}.total-bytes")),
        used_bytes=_number(said.get(f"{at}.used-bytes")),
        disks=tuple(dict.fromkeys(filter(None, disks))),
    )


def _count(said: Mapping[str, Any], noun: str) -> range:
    return range(min(_MOST_ITEMS, _number(said.get(f"{noun}.count"))))


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= _MOST_BYTES else 0


def _text(value: Any, *, most: int = _MOST_TEXT) -> str:
    """One line of printable characters."""
    if not isinstance(value, str):
        return ""
    return "".join(character for character in value[:most] if character.isprintable()).strip()
