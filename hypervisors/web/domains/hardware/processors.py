"""Processor models that a machine can have: what every host of its pool can run, and what would tie it to some."""

from collections.abc import Collection

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.libvirtxml.hardware.definitions import parse_definition
from hypervisors.libvirtxml.host_capabilities import HostCapabilities
from hypervisors.models import Hypervisor
from hypervisors.models.hypervisor_capabilities import capabilities_of
from hypervisors.privileges import Privilege
from hypervisors.web.domains.creation.fields import Option
from hypervisors.web.domains.hardware.machines import MachineHardware
from hypervisors.web.naming import natural_key, visible


def model_options(hardware: MachineHardware, user: User | AnonymousUser) -> tuple[Option, ...]:
    """Those of its own host; what not every host of its pool has says so. Nothing where nothing is known."""
    own = hardware.domain.hypervisor
    if own is None:
        return ()
    hosts = list(Hypervisor.objects.filter(hypervisor_pool=own.hypervisor_pool_id))
    known = {pk: _models(host, hardware.stored_xml) for pk, host in capabilities_of(hosts).items()}
    lacking = {
        name: [host for host in hosts if host.pk in known and name not in known[host.pk]]
        for name in known.get(own.pk, frozenset())
    }
    names = sorted(lacking, key=lambda name: (bool(lacking[name]), natural_key(name)))
    return tuple(Option(value=name, text=_text(name, lacking[name], user)) for name in names)


def _models(host: HostCapabilities, xml: str) -> frozenset[str]:
    root = parse_definition(xml)
    kind = root.find("os/type")
    arch, machine = ("", "") if kind is None else (kind.get("arch", ""), kind.get("machine", ""))
    found = host.domain(arch=arch, virt_type=root.get("type", ""), machine=machine)
    return frozenset(found.cpu_models) if found else frozenset()


def _text(name: str, lacking: Collection[Hypervisor], user: User | AnonymousUser) -> str:
    if not lacking:
        return name
    seen = [visible(host.name) for host in lacking if can(user, Privilege.HYPERVISOR_VIEW, host)]
    where = ", ".join(seen[:3]) if len(seen) == len(lacking) else _("every host of its pool")
    return _("%(model)s · not on %(hosts)s: it cannot move there") % {"model": name, "hosts": where}
