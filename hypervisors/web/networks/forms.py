"""The form of a network: the fields that its kind has, or its XML; each can be turned into the other."""

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any

from django import forms
from django.utils.translation import gettext as now_
from django.utils.translation import gettext_lazy as _

from hypervisors.libvirtxml.network_builder import build_network
from hypervisors.libvirtxml.network_kinds import MACVTAP_MODES, NETWORK_KINDS, NetworkKind
from hypervisors.libvirtxml.network_reader import read_network_spec
from hypervisors.libvirtxml.network_spec_checks import name_problem, spec_problems
from hypervisors.libvirtxml.network_specs import AddressRange, Bandwidth, NetworkAddress, NetworkSpec
from hypervisors.web.networks.words import KIND_GROUPS, KIND_HINTS, KIND_LABELS, kind_label

_SEPARATORS = re.compile(r"[\s,;]+")
_RANGE = re.compile(r"\s*[–—-]\s*|\s+to\s+")
# Of what DHCP gives by itself in an IPv6 network.
_IPV6_FIRST, _IPV6_LAST = 0x100, 0x1FF
LABELS: dict[tuple[str, str], Any] = {
    ("bridge", "bridge"): _("Bridge of the host"),
    ("ovs", "bridge"): _("Open vSwitch bridge"),
    ("macvtap", "devices"): _("Interfaces of the host"),
    ("hostdev", "devices"): _("Network card (physical function)"),
    ("nat", "devices"): _("Only out by this interface"),
    ("route", "devices"): _("Only out by this interface"),
}
HINTS: dict[tuple[str, str], Any] = {
    ("nat", "devices"): _("Empty for whichever way the host's routes lead."),
    ("route", "devices"): _("Empty for whichever way the host's routes lead."),
    ("macvtap", "devices"): _("Several, separated by commas: guests are spread over them."),
    ("ovs", "vlan_tags"): _("Several, separated by commas, make a trunk."),
}
_HINTS_OF_FIELDS = {
    "ipv4": _("The host's own address in it, and the length of the network."),
    "ipv4_ranges": _("Such as 192.168.100.50 – 192.168.100.99; several with commas. Empty for every address."),
    "ipv6": _("Such as fd00:100::1/64; empty for none."),
    "ipv6_ranges": _("Such as fd00:100::100 – fd00:100::1ff; empty for some 256."),
    "domain": _("What guests' names end with, such as lab.example.org."),
    "dns_forwarders": _("Whom its name server asks; empty for those of the host."),
    "limits": _("KiB per second, all guests together; the burst in KiB."),
}
_PLACEHOLDERS = {"ipv4": "192.168.100.1/24", "ipv6": "", "bridge": "", "mtu": "1500", "vlan_tags": "10"}
_LIMITS = tuple(f"{way}_{name}_kib" for way in ("inbound", "outbound") for name in ("average", "peak", "burst"))


def _text(label: Any, length: int = 300) -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=length)


class NetworkForm(forms.Form):
    """`read` gives what the fields, or the XML, say; `problems` what is wrong with it, by field.

    Nothing is required by Django: what is missing is said when it is asked for, not while somebody types.
    """

    view = forms.ChoiceField(choices=[("form", ""), ("xml", "")], widget=forms.HiddenInput, required=False)
    kind = forms.ChoiceField(label=_("Kind"), required=False, initial="nat")
    name = _text(_("Name"), 255)
    devices = _text(_("Interface of the host"))
    bridge = _text(_("Name of its bridge"), 40)
    macvtap_mode = forms.CharField(label=_("Mode"), required=False, max_length=20, widget=forms.Select)
    vlan_tags = _text(_("VLAN"), 200)
    ipv4 = _text(_("IPv4 network"), 60)
    ipv4_dhcp = forms.BooleanField(label=_("Give guests IPv4 addresses (DHCP)"), required=False, initial=True)
    ipv4_ranges = _text(_("IPv4 range for DHCP"), 2000)
    ipv6 = _text(_("IPv6 network"), 80)
    ipv6_dhcp = forms.BooleanField(label=_("Give guests IPv6 addresses (DHCP)"), required=False)
    ipv6_ranges = _text(_("IPv6 range for DHCP"), 2000)
    nats_ipv6 = forms.BooleanField(label=_("NAT for IPv6, too"), required=False)
    domain = _text(_("Domain"), 260)
    is_domain_local = forms.BooleanField(label=_("Ask nobody else for names in it"), required=False)
    dns_forwarders = _text(_("Name servers"), 1000)
    mtu = _text("MTU", 10)
    isolates_ports = forms.BooleanField(label=_("Guests reach the host only, not one another"), required=False)
    inbound_average_kib = _text(_("In, on average"), 12)
    inbound_peak_kib = _text(_("In, at most"), 12)
    inbound_burst_kib = _text(_("In, burst"), 12)
    outbound_average_kib = _text(_("Out, on average"), 12)
    outbound_peak_kib = _text(_("Out, at most"), 12)
    outbound_burst_kib = _text(_("Out, burst"), 12)
    start = forms.BooleanField(label=_("Start it now"), required=False, initial=True)
    autostart = forms.BooleanField(label=_("Start it with its host"), required=False, initial=True)
    xml = forms.CharField(label=_("XML"), required=False, max_length=500_000, widget=forms.Textarea)

    def __init__(self, *args: Any, fixed: NetworkSpec | None = None, **kwargs: Any) -> None:
        """`fixed`: the network that is edited, whose name and kind stay."""
        super().__init__(*args, **kwargs)
        self.fixed = fixed
        self.problems: dict[str, str] = {}
        self.fields["kind"].choices = [  # type: ignore[attr-defined]
            (label, [(name, KIND_LABELS[name]) for name in names]) for label, names in KIND_GROUPS
        ]
        self.fields["macvtap_mode"].widget.choices = [(name, name) for name in MACVTAP_MODES]

    # --- what is shown

    @property
    def type(self) -> NetworkKind:
        return NETWORK_KINDS.get(self.kind_name, NETWORK_KINDS["nat"])

    @property
    def kind_name(self) -> str:
        if self.fixed is not None:
            return self.fixed.kind
        return str(self.data.get("kind") or self.initial.get("kind") or "nat")

    @property
    def kind_label(self) -> str:
        return kind_label(self.kind_name)

    @property
    def kind_hint(self) -> str:
        return str(KIND_HINTS.get(self.type.name, ""))

    @property
    def kind_choices(self) -> list[tuple[Any, list[tuple[str, Any]]]]:
        return [(label, [(name, KIND_LABELS[name]) for name in names]) for label, names in KIND_GROUPS]

    @property
    def is_xml(self) -> bool:
        return str(self.data.get("view") or self.initial.get("view") or "form") == "xml"

    @property
    def has_addresses(self) -> bool:
        return "addresses" in self.type.fields

    @property
    def own_fields(self) -> list[dict[str, Any]]:
        """What it is on; of a kind that owns its bridge these are for who wants something else."""
        names = ("devices", "macvtap_mode", "vlan_tags") if self.type.owns_bridge else self.type.fields
        return [self._shown(name) for name in names if name in self.type.fields]

    @property
    def more_fields(self) -> list[dict[str, Any]]:
        return [self._shown(name) for name in ("bridge", "mtu")] if self.type.owns_bridge else []

    @property
    def has_more(self) -> bool:
        """Whether something in the part that is folded up is filled in, or wrong."""
        names = ("bridge", "mtu", "isolates_ports", *_LIMITS)
        return any(self[name].value() for name in names) or any(name in self.problems for name in (*names, "bandwidth"))

    @property
    def limit_fields(self) -> list[dict[str, Any]]:
        return [self._shown(name) for name in _LIMITS]

    @property
    def ipv4_field(self) -> dict[str, Any]:
        return self._shown("ipv4")

    @property
    def ipv4_ranges_field(self) -> dict[str, Any]:
        return self._shown("ipv4_ranges")

    @property
    def ipv6_field(self) -> dict[str, Any]:
        return self._shown("ipv6")

    @property
    def ipv6_ranges_field(self) -> dict[str, Any]:
        return self._shown("ipv6_ranges")

    @property
    def name_fields(self) -> list[dict[str, Any]]:
        return [self._shown(name) for name in ("domain", "dns_forwarders")]

    @property
    def said_at(self) -> str:
        """The elements that say what is wrong, for htmx."""
        names = [field["name"] for field in (*self.own_fields, *self.more_fields)]
        if self.has_addresses:
            names += ["ipv4", "ipv4_ranges", "ipv6", "ipv6_ranges", "domain", "dns_forwarders", "bandwidth", *_LIMITS]
        ids = ["#network-messages", *(f"#error-{name}" for name in names)]
        return ",".join(ids if self.fixed is not None else [*ids, "#error-name", "#network-places", "#network-submit"])

    @property
    def hidden_in_xml(self) -> list[forms.BoundField]:
        """What the fields said, so that it is still there when they are shown again."""
        return [self["kind"]]

    @property
    def hidden_fields_of_others(self) -> list[forms.BoundField]:
        """What was said of addresses while a kind is looked at that has none: it is there again with the next."""
        return [] if self.has_addresses else [self[name] for name in _ADDRESS_FIELDS]

    @property
    def other_problems(self) -> list[str]:
        """Of what has no field on the screen now."""
        shown = {"name", *(field["name"] for field in (*self.own_fields, *self.more_fields))}
        if self.has_addresses:
            shown |= {"ipv4", "ipv4_ranges", "ipv6", "ipv6_ranges", "domain", "dns_forwarders", "bandwidth", *_LIMITS}
        return [text for name, text in self.problems.items() if self.is_xml or name not in shown]

    # --- what it says

    def read(self) -> NetworkSpec | None:
        """The spec, with `problems` filled in; None where there is none."""
        if not self.is_valid():
            self.problems |= {name: " ".join(map(str, texts)) for name, texts in self.errors.items()}
            return None
        if self.is_xml:
            return self._read_xml()
        spec = self._spec_of_fields()
        self.problems |= self._placed(spec_problems(spec), spec)
        return spec

    def parameters(self) -> dict[str, Any]:
        """Of the operation, once read() found no problem."""
        data = self.cleaned_data
        said = {"xml": data["xml"]} if self.is_xml else {"spec": self._spec_of_fields().to_json()}
        return said | {"start": data["start"], "autostart": data["autostart"]}

    def mute_what_is_missing(self) -> None:
        """While somebody still types: what is not filled in yet is no mistake."""
        empty = {name for name in self.fields if not str(self.data.get(name, "")).strip()}
        self.problems = {name: text for name, text in self.problems.items() if name not in empty}

    def turned_to_xml(self, xml: str = "") -> dict[str, Any]:
        """Initial values of a form that shows as XML what this one says; of an edit, `xml` with that changed."""
        spec = self._spec_of_fields() if self.is_valid() else None
        text = xml or (build_network(spec) if spec is not None and not self._unbuildable(spec) else "")
        return {**self._said(), "view": "xml", "xml": text}

    def turned_to_fields(self) -> dict[str, Any]:
        """Initial values of a form that shows in fields what the XML says. Raises: ValueError."""
        spec = read_network_spec(str(self.data.get("xml", "")))
        if spec.kind not in NETWORK_KINDS:
            raise ValueError(now_("vmportal has no fields for a network of the kind “%s”.") % spec.kind)
        said = {name: value for name, value in self._said().items() if name not in _BOOLEANS}
        return {**said, **posted_of(spec), "view": "form"}

    def _said(self) -> dict[str, Any]:
        return {name: self.data[name] for name in self.data}

    def _unbuildable(self, spec: NetworkSpec) -> bool:
        """Addresses that are none cannot stand in an element."""
        return spec.type is None or "addresses" in spec_problems(spec)

    def _read_xml(self) -> NetworkSpec | None:
        try:
            spec = read_network_spec(self.cleaned_data["xml"])
        except ValueError as error:
            self.problems["xml"] = str(error)
            return None
        wrong = name_problem(spec.name)
        if wrong:
            self.problems["xml"] = wrong
        return spec

    def _placed(self, problems: dict[str, str], spec: NetworkSpec) -> dict[str, str]:
        """Each beside the field that can mend it."""
        text = problems.pop("addresses", "")
        if not text:
            return problems
        is_ipv6 = bool(self.cleaned_data["ipv6"]) and not spec_problems(
            replace(spec, addresses=tuple(one for one in spec.addresses if ":" not in one.address))
        ).get("addresses")
        version = "ipv6" if is_ipv6 else "ipv4"
        is_range = "–" in text or "ranges overlap" in text or "comes after" in text
        return problems | {f"{version}_ranges" if is_range else version: text}

    def _spec_of_fields(self) -> NetworkSpec:
        data, mine = self.cleaned_data, set(self.type.fields)
        before = self.fixed or NetworkSpec(kind=self.kind_name, name=data["name"])
        values: dict[str, Any] = {
            "bridge": data["bridge"],
            "devices": tuple(filter(None, _SEPARATORS.split(data["devices"]))),
            "macvtap_mode": data["macvtap_mode"] or MACVTAP_MODES[0],
            "vlan_tags": tuple(_number(tag) or 0 for tag in filter(None, _SEPARATORS.split(data["vlan_tags"]))),
            "nats_ipv6": data["nats_ipv6"],
            "domain": data["domain"],
            "dns_forwarders": tuple(filter(None, _SEPARATORS.split(data["dns_forwarders"]))),
            "mtu": _number(data["mtu"]),
            "isolates_ports": data["isolates_ports"],
        }
        changed = {name: value for name, value in values.items() if name in mine}
        if self.has_addresses:
            changed |= {
                "addresses": tuple(self._addresses(before)),
                "is_domain_local": data["is_domain_local"] and bool(data["domain"]),
                "inbound": self._bandwidth("inbound"),
                "outbound": self._bandwidth("outbound"),
            }
        return replace(before, **changed)

    def _addresses(self, before: NetworkSpec) -> Iterable[NetworkAddress]:
        """The first of each version is the form's; what else there is stays."""
        data = self.cleaned_data
        for version, mark in (("ipv4", "."), ("ipv6", ":")):
            others = [one for one in before.addresses if mark in one.address]
            old, text = next(iter(others), None), data[version].strip()
            if text:
                hosts = () if old is None else old.hosts
                ranges = _ranges(data[f"{version}_ranges"]) if data[f"{version}_dhcp"] else ()
                if data[f"{version}_dhcp"] and not ranges:
                    ranges = whole_range(text)
                yield NetworkAddress(address=_plain(text), ranges=ranges, hosts=hosts)
            yield from others[1:]

    def _bandwidth(self, way: str) -> Bandwidth:
        amounts = {name: _number(self.cleaned_data[f"{way}_{name}"]) for name in _AMOUNTS}
        return Bandwidth(**amounts)

    def _shown(self, name: str) -> dict[str, Any]:
        key = (self.type.name, name)
        bound = self[name]
        bound.label = LABELS.get(key, bound.label)
        self.fields[name].widget.attrs["placeholder"] = _PLACEHOLDERS.get(name, "")
        if name == "devices" or (name == "bridge" and not self.type.owns_bridge):
            self.fields[name].widget.attrs["list"] = "host-interfaces"
        return {
            "name": name,
            "bound": bound,
            "hint": HINTS.get(key, _HINTS_OF_FIELDS.get(name, "")),
            "problem": self.problems.get(name, ""),
            "is_optional": name not in self.type.required and name not in ("ipv4", "macvtap_mode"),
        }


_ADDRESS_FIELDS = ("ipv4", "ipv4_dhcp", "ipv4_ranges", "ipv6", "ipv6_dhcp", "ipv6_ranges", "domain", "dns_forwarders")
_AMOUNTS = ("average_kib", "peak_kib", "burst_kib")
_BOOLEANS = ("ipv4_dhcp", "ipv6_dhcp", "nats_ipv6", "is_domain_local", "isolates_ports")


def initial_of(spec: NetworkSpec) -> dict[str, Any]:
    """The values of the fields that say the same."""
    values: dict[str, Any] = {name: getattr(spec, name) for name in _SAME}
    values["devices"] = ", ".join(spec.devices)
    values["dns_forwarders"] = ", ".join(spec.dns_forwarders)
    values["vlan_tags"] = ", ".join(map(str, spec.vlan_tags))
    values["mtu"] = "" if spec.mtu is None else str(spec.mtu)
    for version, mark in (("ipv4", "."), ("ipv6", ":")):
        own = next((one for one in spec.addresses if mark in one.address), None)
        values[version] = "" if own is None else own.address
        values[f"{version}_dhcp"] = own is not None and bool(own.ranges)
        values[f"{version}_ranges"] = "" if own is None else ", ".join(f"{r.start} – {r.end}" for r in own.ranges)
    for way in ("inbound", "outbound"):
        for name in _AMOUNTS:
            amount = getattr(getattr(spec, way), name)
            values[f"{way}_{name}"] = "" if amount is None else str(amount)
    return values


def posted_of(spec: NetworkSpec) -> dict[str, Any]:
    """The same as a browser would send them: a box that is not ticked is not there."""
    return {name: value for name, value in initial_of(spec).items() if value is not False}


_SAME = ("kind", "name", "bridge", "macvtap_mode", "nats_ipv6", "domain", "is_domain_local", "isolates_ports")


def whole_range(text: str) -> tuple[AddressRange, ...]:
    """Every address of an IPv4 network but the host's own and its ends; some of an IPv6 network."""
    try:
        own = ip_interface(text)
    except ValueError:
        return ()
    first, last = int(own.network.network_address), int(own.network.broadcast_address)
    if own.version == 6:
        if own.network.prefixlen > 112:
            return ()
        start, end = first + _IPV6_FIRST, first + _IPV6_LAST
    else:
        if own.network.prefixlen > 29:
            return ()
        # The larger part beside the host's own address; as many as libvirt takes.
        below, above = (first + 1, int(own.ip) - 1), (int(own.ip) + 1, last - 1)
        start, end = max(below, above, key=lambda part: part[1] - part[0])
        end = min(end, start + 65534)
    kind = type(own.ip)
    return (AddressRange(start=str(kind(start)), end=str(kind(end))),)


def _ranges(text: str) -> tuple[AddressRange, ...]:
    """ "a – b, c – d"; one address alone is a range of one."""
    found = []
    for part in filter(None, (part.strip() for part in re.split(r"[,;\n]", text))):
        start, *rest = _RANGE.split(part, maxsplit=1)
        end = rest[0] if rest else start
        found.append(AddressRange(start=_plain(start), end=_plain(end)))
    return tuple(found)


def _plain(text: str) -> str:
    """An address as libvirt writes it; what is none stays as it was typed."""
    try:
        return str(ip_address(text)) if "/" not in text else ip_interface(text).with_prefixlen
    except ValueError:
        return text


def _number(text: str) -> int | None:
    """0, which is never right, for what is no number."""
    text = text.strip()
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
