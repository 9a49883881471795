"""A machine's hardware as its row tells it: what runs, what is stored for the next start, and how the two differ."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from hypervisors.libvirtxml.hardware.devices import Device, list_devices
from hypervisors.libvirtxml.hardware.differences import Difference, pending_differences
from hypervisors.models import Domain, DomainDefinition, Operation

# Each part of a machine's page asks anew, and definitions seldom change.
_MOST_REMEMBERED = 64


@dataclass(frozen=True, kw_only=True)
class MachineHardware:
    """`live_xml` is empty for one that is off; `stored_xml` is what runs, of one that nothing is stored of."""

    domain: Domain
    live_xml: str = ""
    stored_xml: str = ""
    # Of the stored XML, as the row has it: what a form is made of, which its change is refused without.
    base_sha256: str = ""

    @property
    def is_active(self) -> bool:
        return bool(self.live_xml)

    @cached_property
    def stored(self) -> tuple[Device, ...]:
        return _devices(self.stored_xml)

    @cached_property
    def live(self) -> tuple[Device, ...]:
        return _devices(self.live_xml)

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """What waits for the next start; nothing for one that is off."""
        if not self.live_xml or not self.domain.persistent:
            return ()
        return _differences(self.live_xml, self.stored_xml)

    @cached_property
    def leaving(self) -> frozenset[str]:
        """Identities of the devices that the guest has been asked to let go of."""
        rows = Operation.objects.unfinished().filter(domain=self.domain, kind="remove_device")
        return frozenset(str(row.parameters.get("device_id", "")) for row in rows.only("parameters"))

    def device(self, device_id: str) -> Device | None:
        """As it is stored, else as it runs."""
        return next((one for one in (*self.stored, *self.live) if one.id == device_id), None)

    def live_device(self, device_id: str) -> Device | None:
        return next((one for one in self.live if one.id == device_id), None)


def hardware_of(domain: Domain) -> MachineHardware:
    """One query."""
    row = DomainDefinition.objects.filter(domain=domain).only("live_xml", "inactive_xml", "inactive_sha256").first()
    if row is None:
        return MachineHardware(domain=domain)
    live = row.live_xml if domain.is_active else ""
    return MachineHardware(
        domain=domain,
        live_xml=live,
        stored_xml=row.inactive_xml or live,
        base_sha256=row.inactive_sha256 if row.inactive_xml else "",
    )


@lru_cache(maxsize=_MOST_REMEMBERED)
def _differences(live_xml: str, stored_xml: str) -> tuple[Difference, ...]:
    try:
        return pending_differences(live_xml, stored_xml)
    except ValueError:
        # libvirt's own XML; what cannot be read has no form, and is shown as it is on the XML tab.
        return ()


@lru_cache(maxsize=_MOST_REMEMBERED)
def _devices(xml: str) -> tuple[Device, ...]:
    try:
        return list_devices(xml) if xml else ()
    except ValueError:
        return ()
