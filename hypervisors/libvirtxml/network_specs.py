"""A network as it is to be: frozen values, https://libvirt.org/formatnetwork.html; checked in network_spec_checks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hypervisors.libvirtxml.network_kinds import NETWORK_KINDS, NetworkKind


@dataclass(frozen=True, kw_only=True)
class AddressRange:
    """What DHCP gives away."""

    start: str
    end: str


@dataclass(frozen=True, kw_only=True)
class StaticHost:
    """An address that DHCP keeps for one card; IPv6 knows cards by `client_id`, or by `name`."""

    address: str
    mac: str = ""
    name: str = ""
    client_id: str = ""

    @property
    def key(self) -> str:
        """By what libvirt tells it from the others."""
        return self.mac.lower() or self.client_id.lower() or self.name or self.address


@dataclass(frozen=True, kw_only=True)
class NetworkAddress:
    """One <ip>: the host's own address with the length of its network, and what DHCP does in it."""

    address: str  # "192.168.122.1/24"
    ranges: tuple[AddressRange, ...] = ()
    hosts: tuple[StaticHost, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DnsHost:
    """Names that the network's own name server knows."""

    address: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """KiB per second; `burst_kib` is an amount. None: no limit."""

    average_kib: int | None = None
    peak_kib: int | None = None
    burst_kib: int | None = None


@dataclass(frozen=True, kw_only=True)
class PortGroup:
    """What a guest's card gets by naming it; the default one, whoever names none."""

    name: str
    is_default: bool = False
    vlan_tags: tuple[int, ...] = ()
    inbound: Bandwidth = Bandwidth()
    outbound: Bandwidth = Bandwidth()


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Everything of a network that people are asked for; each kind uses some of it (network_kinds.py)."""

    kind: str
    name: str
    uuid: str = ""
    # Of a kind that owns its bridge: empty for what libvirt chooses.
    bridge: str = ""
    # Where it leads to: interfaces of the host; empty for whichever the route says.
    devices: tuple[str, ...] = ()
    macvtap_mode: str = ""
    addresses: tuple[NetworkAddress, ...] = ()
    nats_ipv6: bool = False
    domain: str = ""
    is_domain_local: bool = False
    dns_forwarders: tuple[str, ...] = ()
    dns_hosts: tuple[DnsHost, ...] = ()
    port_groups: tuple[PortGroup, ...] = ()
    vlan_tags: tuple[int, ...] = ()
    mtu: int | None = None
    inbound: Bandwidth = Bandwidth()
    outbound: Bandwidth = Bandwidth()
    # Guests reach the host alone, not one another.
    isolates_ports: bool = False

    @property
    def type(self) -> NetworkKind | None:
        return NETWORK_KINDS.get(self.kind)

    def to_json(self) -> dict[str, Any]:
        """Without what is empty."""
        empty = Bandwidth()
        return {
            field.name: asdict(self)[field.name]
            for field in fields(self)
            if getattr(self, field.name) not in ("", (), None, False, empty)
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "NetworkSpec":
        """Raises: ValueError for what is no such value."""
        try:
            known = {field.name for field in fields(cls)}
            given = {name: value for name, value in values.items() if name in known}
            for name, read in _READERS.items():
                if name in given:
                    given[name] = read(given[name])
            return cls(**given)
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"This is no network: {error}") from error


def _address(values: Mapping[str, Any]) -> NetworkAddress:
    return NetworkAddress(
        address=values["address"],
        ranges=tuple(AddressRange(**one) for one in values.get("ranges", ())),
        hosts=tuple(StaticHost(**one) for one in values.get("hosts", ())),
    )


def _port_group(values: Mapping[str, Any]) -> PortGroup:
    given = dict(values)
    given["vlan_tags"] = tuple(given.get("vlan_tags", ()))
    for name in ("inbound", "outbound"):
        given[name] = Bandwidth(**given.get(name, {}))
    return PortGroup(**given)


_READERS: dict[str, Any] = {
    "devices": tuple,
    "dns_forwarders": tuple,
    "vlan_tags": tuple,
    "addresses": lambda given: tuple(map(_address, given)),
    "dns_hosts": lambda given: tuple(DnsHost(address=one["address"], names=tuple(one["names"])) for one in given),
    "port_groups": lambda given: tuple(map(_port_group, given)),
    "inbound": lambda given: Bandwidth(**given),
    "outbound": lambda given: Bandwidth(**given),
}
