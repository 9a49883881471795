"""Whether a change of a machine's hardware can be asked for: from rows alone; the worker looks again."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import Conflict, NotPossible
from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import Device, find_device, list_devices, parse_one_device
from hypervisors.libvirtxml.hardware.fields import Field, Value
from hypervisors.models import Domain, DomainDefinition, Hypervisor, Network
from hypervisors.operations.domains.creation.names import machine_with_mac
from hypervisors.operations.domains.hardware.parameters import WHENS, When
from hypervisors.operations.domains.named_storage import named_volumes, storage_problem
from hypervisors.operations.engine.types import checked_choice

MOST_XML_CHARACTERS = 64 * 1024
_MOST_VALUES = 500


def definition_of(domain: Domain) -> DomainDefinition:
    """Raises: errors.NotPossible where its XML is not known."""
    definition = DomainDefinition.objects.filter(domain=domain).first()
    if definition is None or not (definition.inactive_xml or definition.live_xml):
        raise NotPossible(_("What it is made of is not known yet."))
    return definition


def stored_xml(definition: DomainDefinition) -> str:
    """As it starts next; as it runs while nothing is stored."""
    return definition.inactive_xml or definition.live_xml


def host_of(domain: Domain) -> Hypervisor:
    """Raises: errors.NotPossible."""
    if domain.hypervisor is None:
        raise NotPossible(_("Its host was removed from vmportal."))
    return domain.hypervisor


def checked_base(given: Mapping[str, Any], definition: DomainDefinition) -> str:
    """The digest that the form was made of. Raises: errors.Conflict when the definition is another already."""
    base = str(given.get("base_sha256") or "")
    if base and definition.inactive_sha256 and base != definition.inactive_sha256:
        raise Conflict(changed_meanwhile())
    return base


def changed_meanwhile() -> str:
    return _("It was changed since you opened it, by somebody else: nothing of yours was written. Look at it again.")


def checked_when(given: Mapping[str, Any], domain: Domain) -> str:
    """Raises: errors.NotPossible."""
    when = checked_choice(given.get("when") or When.NOW, WHENS, what=_("time"))
    if when == When.NEXT_START and not domain.persistent:
        raise NotPossible(_("It is transient: its host forgets it as soon as it is off, and what waits for its start."))
    return when


def checked_values(given: object, fields: tuple[Field, ...]) -> tuple[dict[str, Value], dict[str, Value]]:
    """Those of these fields, and the passwords apart. Raises: errors.NotPossible for what are no values."""
    if given is None:
        given = {}
    if not isinstance(given, Mapping) or len(given) > _MOST_VALUES:
        raise NotPossible(_("The settings are fields with values."))
    known = {field.name: field for field in fields}
    values: dict[str, Value] = {}
    secrets: dict[str, Value] = {}
    for name, value in given.items():
        if name not in known:
            raise NotPossible(_("There is no field “%(name)s”.") % {"name": str(name)[:60]})
        if not isinstance(value, str | int | bool):
            raise NotPossible(_("The field “%(name)s” is something else.") % {"name": name})
        if not (known[name].is_secret or known[name].kind == "password"):
            values[str(name)] = value
        elif value != "":
            # "" leaves a password as it is.
            secrets[str(name)] = value
    return values, secrets


def checked_device_xml(given: object) -> str:
    """One device as somebody typed it. Raises: errors.NotPossible."""
    xml = str(given or "").strip()
    if not xml:
        return ""
    if len(xml) > MOST_XML_CHARACTERS:
        raise NotPossible(_("The XML of one device is shorter than that."))
    try:
        parse_one_device(xml)
    except ValueError as error:
        raise NotPossible(str(error)) from error
    return xml


def device_of(definition: DomainDefinition, device_id: object) -> Device:
    """The device, as stored, else as it runs. Raises: errors.NotPossible."""
    for xml in filter(None, (definition.inactive_xml, definition.live_xml)):
        found = find_device(xml, str(device_id))
        if found is not None:
            return found
    raise NotPossible(_("It does not have this device any more."))


def check_room(type_key: str, definition: DomainDefinition) -> None:
    """Raises: errors.NotPossible when it has as many of them as it can."""
    most = DEVICE_TYPES[type_key].most
    present = sum(device.type_key == type_key for device in list_devices(stored_xml(definition)))
    if most is not None and present >= most:
        raise NotPossible(_("A virtual machine has at most %(most)d of these devices.") % {"most": most})


def check_mac(domain: Domain, mac: str, *, own_device_id: str = "") -> None:
    """That no other network card of the pool has the address. Raises: errors.NotPossible."""
    if not mac:
        return
    definition = definition_of(domain)
    own = [
        device
        for xml in filter(None, (definition.inactive_xml, definition.live_xml))
        for device in list_devices(xml)
        if device.type_key == "interface" and device.id != own_device_id
    ]
    is_own = any(str(device.values.get("mac", "")).lower() == mac for device in own)
    if is_own or machine_with_mac(mac, host_of(domain).hypervisor_pool, apart_from=domain):
        # Not whose: whoever asks may not be allowed to see that one.
        raise NotPossible(_("The MAC address %(mac)s is in use in the pool.") % {"mac": mac})


def check_storage(domain: Domain, xml: str) -> None:
    """That what the machine would name anew is nobody else's and to be trusted. Raises: errors.NotPossible."""
    named = named_volumes(host_of(domain), xml, before=stored_xml(definition_of(domain)))
    problem = storage_problem(named, domain=domain)
    if problem:
        raise NotPossible(problem)


def volume_locks(domain: Domain, xml: str) -> list[str]:
    """The locks of the volumes that it would name anew and write to."""
    named = named_volumes(host_of(domain), xml, before=stored_xml(definition_of(domain)))
    return list({one.lock_key: None for one in named if one.is_written and not one.is_shared})


def check_card(host: Hypervisor, values: Mapping[str, Value]) -> None:
    """That the host has what the card is plugged into, as far as rows tell. Raises: errors.NotPossible."""
    networks = Network.objects.present().filter(hypervisor=host)
    name = values.get("source_network")
    if values.get("type") == "network" and not networks.filter(name=name).exists():
        raise NotPossible(_("%(host)s has no network “%(name)s”.") % {"host": host.name, "name": name})
    source = {"bridge": values.get("source_bridge"), "direct": values.get("source_dev")}.get(str(values.get("type")))
    known = host.interface_names
    if source and known is not None and source not in known and not networks.filter(bridge=source).exists():
        raise NotPossible(_("%(host)s has no interface “%(name)s”.") % {"host": host.name, "name": source})
