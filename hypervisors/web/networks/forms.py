"""The form of a network: the fields that its kind has."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from hypervisors.libvirtxml.network_builder import NETWORK_XML
from hypervisors.libvirtxml.network_kinds import MACVTAP_MODES, NETWORK_KINDS
from hypervisors.libvirtxml.network_spec_checks import spec_problems
from hypervisors.libvirtxml.network_specs import Bandwidth, NetworkAddress, NetworkSpec
from hypervisors.web.definitions.forms import DefinitionForm, words_of
from hypervisors.web.networks.form_words import HINTS, HINTS_OF_FIELDS, LABELS, PLACEHOLDERS
from hypervisors.web.networks.typed_addresses import number_of, plain_address, ranges_of, whole_range
from hypervisors.web.networks.words import KIND_GROUPS, KIND_HINTS, KIND_LABELS, kind_label

_LIMITS = tuple(f"{way}_{name}_kib" for way in ("inbound", "outbound") for name in ("average", "peak", "burst"))

_ADDRESS_FIELDS = ("ipv4", "ipv4_dhcp", "ipv4_ranges", "ipv6", "ipv6_dhcp", "ipv6_ranges", "domain", "dns_forwarders")
_AMOUNTS = ("average_kib", "peak_kib", "burst_kib")
_SAME = ("kind", "name", "bridge", "macvtap_mode", "nats_ipv6", "domain", "is_domain_local", "isolates_ports")
# What is asked for of a kind that has addresses, in the order of the screen.
_SHOWN_OF_ADDRESSED = ("ipv4", "ipv4_ranges", "ipv6", "ipv6_ranges", "domain", "dns_forwarders", "bandwidth", *_LIMITS)


def _text(label: Any, length: int = 300) -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=length)


class NetworkForm(DefinitionForm[NetworkSpec]):
    definition_xml = NETWORK_XML
    kind_field = "kind"
    kinds = NETWORK_KINDS
    usual_kind = "nat"
    no_fields = _("vmportal has no fields for a network of the kind “%s”.")
    labels, hints, hints_of_fields = LABELS, HINTS, HINTS_OF_FIELDS

    kind = forms.ChoiceField(label=_("Kind"), required=False, initial="nat")
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = self.kind_choices  # type: ignore[attr-defined]
        self.fields["macvtap_mode"].widget.choices = [(name, name) for name in MACVTAP_MODES]

    # --- what is shown

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
    def has_addresses(self) -> bool:
        return "addresses" in self.type.fields

    @property
    def own_fields(self) -> list[dict[str, Any]]:
        """What it is on; of a kind that owns its bridge these are for who wants something else."""
        names = ("devices", "macvtap_mode", "vlan_tags") if self.type.owns_bridge else self.type.fields
        return [self.shown(name) for name in names if name in self.type.fields]

    @property
    def more_fields(self) -> list[dict[str, Any]]:
        return [self.shown(name) for name in ("bridge", "mtu")] if self.type.owns_bridge else []

    @property
    def has_more(self) -> bool:
        """Whether something in the part that is folded up is filled in, or wrong."""
        names = ("bridge", "mtu", "isolates_ports", *_LIMITS)
        return any(self[name].value() for name in names) or any(name in self.problems for name in (*names, "bandwidth"))

    @property
    def limit_fields(self) -> list[dict[str, Any]]:
        return [self.shown(name) for name in _LIMITS]

    @property
    def ipv4_field(self) -> dict[str, Any]:
        return self.shown("ipv4")

    @property
    def ipv4_ranges_field(self) -> dict[str, Any]:
        return self.shown("ipv4_ranges")

    @property
    def ipv6_field(self) -> dict[str, Any]:
        return self.shown("ipv6")

    @property
    def ipv6_ranges_field(self) -> dict[str, Any]:
        return self.shown("ipv6_ranges")

    @property
    def name_fields(self) -> list[dict[str, Any]]:
        return [self.shown(name) for name in ("domain", "dns_forwarders")]

    @property
    def shown_names(self) -> list[str]:
        names = [field["name"] for field in (*self.own_fields, *self.more_fields)]
        return [*names, *_SHOWN_OF_ADDRESSED] if self.has_addresses else names

    @property
    def hidden_fields_of_others(self) -> list[forms.BoundField]:
        """What was said of addresses while a kind is looked at that has none: it is there again with the next."""
        return [] if self.has_addresses else [self[name] for name in _ADDRESS_FIELDS]

    def shown(self, name: str) -> dict[str, Any]:
        if name == "devices" or (name == "bridge" and not self.type.owns_bridge):
            self.fields[name].widget.attrs["list"] = "host-interfaces"
        return super().shown(name)

    def placeholder(self, name: str) -> str:
        return PLACEHOLDERS.get(name, "")

    def is_optional(self, name: str) -> bool:
        return super().is_optional(name) and name not in ("ipv4", "macvtap_mode")

    # --- what it says

    @classmethod
    def initial_of(cls, spec: NetworkSpec) -> dict[str, Any]:
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

    def is_buildable(self, spec: NetworkSpec) -> bool:
        """Addresses that are none cannot stand in an element."""
        return super().is_buildable(spec) and "addresses" not in spec_problems(spec)

    def placed(self, problems: dict[str, str], spec: NetworkSpec) -> dict[str, str]:
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

    def spec_of_fields(self) -> NetworkSpec:
        data, mine = self.cleaned_data, set(self.type.fields)
        before = self.fixed or NetworkSpec(kind=self.kind_name, name=data["name"])
        values: dict[str, Any] = {
            "bridge": data["bridge"],
            "devices": words_of(data["devices"]),
            "macvtap_mode": data["macvtap_mode"] or MACVTAP_MODES[0],
            "vlan_tags": tuple(number_of(tag) or 0 for tag in words_of(data["vlan_tags"])),
            "nats_ipv6": data["nats_ipv6"],
            "domain": data["domain"],
            "dns_forwarders": words_of(data["dns_forwarders"]),
            "mtu": number_of(data["mtu"]),
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
                ranges = ranges_of(data[f"{version}_ranges"]) if data[f"{version}_dhcp"] else ()
                if data[f"{version}_dhcp"] and not ranges:
                    ranges = whole_range(text)
                yield NetworkAddress(address=plain_address(text), ranges=ranges, hosts=hosts)
            yield from others[1:]

    def _bandwidth(self, way: str) -> Bandwidth:
        amounts = {name: number_of(self.cleaned_data[f"{way}_{name}"]) for name in _AMOUNTS}
        return Bandwidth(**amounts)
