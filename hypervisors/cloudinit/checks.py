"""What may stand in a guest's first settings, said in words for people before anything is made."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from typing import Any

import yaml

from hypervisors.cloudinit.settings import CloudInit, NetworkPlan

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# Debian's, RPM's and APK's names, with a version or a release behind them.
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:=~-]{0,120}")
_KEY_TYPES = frozenset(
    {
        *("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
        *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
    }
)
_MOST_KEYS, _MOST_PACKAGES, _MOST_KEY_BYTES = 100, 200, 16 * 1024
# More than any configuration, less than what makes a parser slow.
MOST_USER_DATA_BYTES = 64 * 1024
_MOST_DEPTH = 40
_RESERVED_USERS = frozenset({"root", "daemon", "bin", "sys", "nobody"})


def check_cloud_init(settings: CloudInit) -> None:
    """Raises: ValueError, fit for people, with the first thing that cannot be."""
    check_user(settings.user)
    for key in settings.ssh_keys:
        check_ssh_key(key)
    if len(settings.ssh_keys) > _MOST_KEYS:
        raise ValueError(f"At most {_MOST_KEYS} SSH keys.")
    if settings.hostname:
        check_hostname(settings.hostname)
    for package in settings.packages:
        check_package(package)
    if len(settings.packages) > _MOST_PACKAGES:
        raise ValueError(f"At most {_MOST_PACKAGES} packages.")
    if settings.password_hash and not re.fullmatch(
        r"\$6\$[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}", settings.password_hash
    ):
        raise ValueError("The password is not hashed as expected.")
    for plan in settings.networks:
        check_network(plan)
    parse_user_data(settings.user_data)


def check_user(name: str) -> None:
    """ "" is the image's own. Raises: ValueError."""
    if name and not _USER.fullmatch(name):
        raise ValueError(
            "A user's name begins with a small letter and has small letters, digits, “-” and “_”, 32 at most."
        )
    if name in _RESERVED_USERS:
        raise ValueError(f"“{name}” is a user of the system itself; choose another name.")


def check_ssh_key(line: str) -> None:
    """One line of authorized_keys without options: type, key, comment. Raises: ValueError."""
    if "PRIVATE KEY" in line:
        raise ValueError("That is a private key. Give the public one, of the file that ends in .pub.")
    if len(line) > _MOST_KEY_BYTES or not line.isprintable():
        raise ValueError("An SSH key is one line: its type, the key and a comment.")
    kind, _, rest = line.strip().partition(" ")
    if kind not in _KEY_TYPES:
        shown = kind[:40] or "nothing"
        raise ValueError(f"An SSH key begins with its type, such as ssh-ed25519; this one begins with “{shown}”.")
    if type_inside(rest.split(" ")[0]) != kind:
        raise ValueError(f"This {kind} key is cut off or damaged: copy the whole line.")


def check_hostname(name: str) -> None:
    """Raises: ValueError."""
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("A host name has letters, digits and “-”, in parts of at most 63 with dots between them.")
    if name.replace(".", "").isdigit():
        raise ValueError("A host name of digits only would be taken for an address.")


def hostname_of(machine_name: str) -> str:
    """A host name as near to the machine's as can be."""
    cleaned = re.sub(r"[^A-Za-z0-9-]+", "-", machine_name).strip("-")[:63].strip("-")
    return f"vm-{cleaned}"[:63] if cleaned.isdigit() else cleaned or "guest"


def check_package(name: str) -> None:
    """Raises: ValueError."""
    if not _PACKAGE.fullmatch(name):
        raise ValueError(f"“{name[:60]}” is no name of a package.")


def check_network(plan: NetworkPlan) -> None:
    """Raises: ValueError."""
    interfaces = [_interface(address) for address in plan.addresses]
    for gateway, version in ((plan.gateway4, 4), (plan.gateway6, 6)):
        if gateway:
            _check_gateway(gateway, version, interfaces)
    for server in plan.nameservers:
        _address(server, "name server")
    for domain in plan.search:
        check_hostname(domain)


def parse_user_data(text: str) -> dict[str, Any] | None:
    """The mapping that it is; None for a script, and for nothing. Raises: ValueError, fit for people."""
    if not text.strip() or text.startswith("#!"):
        _check_length(text)
        return None
    _check_length(text)
    try:
        loaded = _BoundedLoader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        raise ValueError(f"The user data is no YAML: {_place_of(error)}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"The user data is no YAML: {error}") from error
    if not isinstance(loaded, Mapping):
        raise ValueError("The user data is a mapping in YAML (“key: value”), or a script that begins with “#!”.")
    if not all(isinstance(key, str) for key in loaded):
        raise ValueError("The keys of the user data are words.")
    return dict(loaded)


class _BoundedLoader(yaml.SafeLoader):
    """Plain values only, without references: ten lines of those expand to gigabytes. Nested a little at most."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("references (“*name”) are not taken.")
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise ValueError("it is nested too deeply.")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _check_length(text: str) -> None:
    if len(text.encode(errors="surrogatepass")) > MOST_USER_DATA_BYTES:
        raise ValueError(f"The user data is longer than {MOST_USER_DATA_BYTES // 1024} KiB.")
    if "\0" in text:
        raise ValueError("The user data contains a zero byte.")


def _place_of(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    where = f"line {mark.line + 1}: " if mark is not None else ""
    return f"{where}{error.problem or error.context or 'it cannot be read'}"


def type_inside(encoded: str) -> str:
    """The type that the key itself names; "" when it is not whole: fields, each with its length before it."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return ""
    found, at = [], 0
    while at < len(blob):
        if at + 4 > len(blob):
            return ""
        end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
        found.append(blob[at + 4 : end])
        at = end
    is_whole = at == len(blob) and len(found) > 1
    return found[0].decode("ascii", "replace") if is_whole else ""


def _interface(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError(f"“{text[:60]}” is no address with its network, such as 192.0.2.10/24.") from None
    if "/" not in text:
        raise ValueError(f"The address {text} needs the length of its network, such as {text}/24.")
    network = interface.network
    ends = (network.network_address, network.broadcast_address)
    if interface.version == 4 and network.prefixlen < 31 and interface.ip in ends:
        raise ValueError(f"{text} is the address of the network itself or of all in it, not of one machine.")
    return interface


def _check_gateway(text: str, version: int, interfaces: list[Any]) -> None:
    gateway = _address(text, "gateway")
    if gateway.version != version:
        raise ValueError(f"{text} is no gateway of IP version {version}.")
    if gateway.is_link_local:
        return
    same = [interface for interface in interfaces if interface.version == version]
    if same and not any(gateway in interface.network for interface in same):
        raise ValueError(f"The gateway {text} is not in the network of {same[0]}.")
    if any(gateway == interface.ip for interface in same):
        raise ValueError(f"{text} cannot be both the machine's address and its gateway.")


def _address(text: str, what: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"“{text[:60]}” is no address of a {what}.") from None
