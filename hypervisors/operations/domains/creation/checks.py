"""Whether a machine can be made as it was asked for: from rows alone, for the page as somebody types and the request.

`problems_of` finds all that is wrong, by field; `checked` refuses with the first, and else gives the parameters whole:
with names, UUID, MACs, and the rows of the machine's own host.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from django.utils.translation import gettext as _

from hypervisors.cloudinit.checks import check_cloud_init
from hypervisors.cloudinit.passwords import hashed
from hypervisors.cloudinit.settings import CloudInit, cloud_init_of
from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.device_specs import InterfaceSpec
from hypervisors.libvirtxml.domain_spec import DomainSpec, domain_spec_from_json
from hypervisors.libvirtxml.spec_checks import check_path
from hypervisors.models import Domain, Hypervisor, Network
from hypervisors.operations.domains.creation.disk_checks import checked_disks, space_problem
from hypervisors.operations.domains.creation.names import is_name_taken, machine_with_mac, new_mac
from hypervisors.operations.domains.creation.parameters import (
    INSTALLING_METHODS,
    METHODS,
    CreateDomainParameters,
    DiskPlan,
    Method,
    UnattendedInstall,
    as_json,
)
from hypervisors.operations.domains.creation.places import storage_pool_on, volume_on
from hypervisors.operations.domains.creation.specs import filled_spec, has_install_kernel
from hypervisors.operations.domains.creation.trees import check_tree_url
from hypervisors.operations.domains.creation.unattended import check_answers, checked_unattended
from hypervisors.operations.domains.names import name_problem
from hypervisors.operations.engine.types import checked_choice

# More than any machine, less than what overflows somewhere.
_MOST_MEDIA, _MOST_CMDLINE = 8, 2000


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong, and with which field: "name", "disks", "disks.1", "media", "spec", "cloud_init", "tree_url" …"""

    field: str
    text: str


class _Refusal(NotPossible):
    """One that knows its field."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def checked(hypervisor: Hypervisor, given: Mapping[str, Any]) -> CreateDomainParameters:
    """Raises: errors.NotPossible, whose text says what is wrong."""
    parameters: CreateDomainParameters = _Check(hypervisor, given, stop_at_first=True).result()
    return parameters


def problems_of(hypervisor: Hypervisor, given: Mapping[str, Any]) -> tuple[Problem, ...]:
    """All that is wrong with it, in the order of the page; none when `checked` would take it."""
    check = _Check(hypervisor, given, stop_at_first=False)
    check.result()
    return tuple(check.problems)


class _Check:
    """One look at everything; what cannot be judged because of another problem is passed over."""

    def __init__(self, hypervisor: Hypervisor, given: Mapping[str, Any], *, stop_at_first: bool) -> None:
        self._hypervisor = hypervisor
        self._given = given
        self._stop_at_first = stop_at_first
        self.problems: list[Problem] = []

    def result(self) -> Any:
        """The parameters; something else where there are problems."""
        name = self._try("name", self._name)
        method = self._try("method", self._method)
        spec = self._try("spec", lambda: self._spec(name or "unnamed"))
        disks = self._try("disks", lambda: checked_disks(self._hypervisor, self._given.get("disks"), name or "unnamed"))
        media = self._try("media", self._media)
        cloud_init = self._try("cloud_init", self._cloud_init)
        unattended = self._try("unattended", lambda: checked_unattended(self._given.get("unattended")))
        if None in (name, method, spec, disks, media) or self.problems:
            return None
        spec = self._try("interfaces", lambda: self._with_cards(spec))
        parameters = self._try(
            "method", lambda: self._parameters(name, method, spec, disks, media, cloud_init, unattended)
        )
        if parameters is None or spec is None:
            return None
        self._try("disks", lambda: space_problem(self._hypervisor, parameters.disk_plans))
        self._try("spec", lambda: _check_whole(parameters, self._hypervisor))
        return parameters

    def _try(self, field: str, look: Callable[[], Any]) -> Any:
        try:
            return look()
        except (NotPossible, ValueError) as error:
            problem = Problem(field=getattr(error, "field", "") or field, text=str(error))
            if self._stop_at_first:
                raise _Refusal(problem) from error
            self.problems.append(problem)
            return None

    def _name(self) -> str:
        name = self._given.get("name")
        if not isinstance(name, str) or not name.strip():
            raise NotPossible(_("A virtual machine needs a name."))
        problem = name_problem(name)
        if problem:
            raise NotPossible(problem)
        if is_name_taken(name, self._hypervisor.hypervisor_pool):
            # Not where: whoever asks may not be allowed to see that one.
            raise NotPossible(_("The name “%(name)s” is taken; names are unique in a pool.") % {"name": name})
        return name

    def _method(self) -> str:
        return checked_choice(self._given.get("method"), METHODS, what=_("way to install"))

    def _spec(self, name: str) -> DomainSpec:
        given = self._given.get("spec")
        if not isinstance(given, Mapping):
            raise NotPossible(_("What the machine is made of is missing."))
        drives = [
            disk for disk in given.get("disks") or () if isinstance(disk, Mapping) and disk.get("device") != "disk"
        ]
        uuid = str(given.get("uuid") or uuid4())
        spec = domain_spec_from_json({**given, "name": name, "uuid": uuid, "disks": drives})
        if Domain.objects.filter(uuid=UUID(spec.uuid), vanished_at=None).exists():
            raise NotPossible(_("There is a virtual machine of this UUID already."))
        self._check_host(spec)
        return replace(spec, uuid=str(UUID(spec.uuid)))

    def _check_host(self, spec: DomainSpec) -> None:
        host = self._hypervisor
        if host.memory_kib and spec.memory_kib > host.memory_kib:
            raise NotPossible(
                _("%(host)s has %(has).1f GiB of memory; the machine wants %(wants).1f GiB.")
                % {"host": host.name, "has": host.memory_kib / 2**20, "wants": spec.memory_kib / 2**20}
            )
        if spec.kernel_path:
            check_path(spec.kernel_path, "kernel")
        if spec.virt_type == "kvm" and host.kvm_available is False:
            raise NotPossible(_("%(host)s has no KVM: the machine can only be emulated there.") % {"host": host.name})

    def _with_cards(self, spec: DomainSpec) -> DomainSpec:
        taken: list[str] = [card.mac.lower() for card in spec.interfaces if card.mac]
        cards = []
        for card in spec.interfaces:
            self._check_card(card)
            mac = card.mac.lower() or new_mac(taken)
            taken.append(mac)
            cards.append(replace(card, mac=mac))
        return replace(spec, interfaces=tuple(cards))

    def _check_card(self, card: InterfaceSpec) -> None:
        host = self._hypervisor
        if card.mac:
            other = machine_with_mac(card.mac, host.hypervisor_pool)
            if other:
                raise NotPossible(_("The MAC address %(mac)s is in use in the pool.") % {"mac": card.mac})
        networks = Network.objects.present().filter(hypervisor=host)
        if card.kind == "network" and not networks.filter(name=card.source).exists():
            raise NotPossible(_("%(host)s has no network “%(name)s”.") % {"host": host.name, "name": card.source})
        known = host.interface_names
        is_unknown = card.kind in ("bridge", "direct") and known is not None and card.source not in known
        if is_unknown and not networks.filter(bridge=card.source).exists():
            raise NotPossible(_("%(host)s has no interface “%(name)s”.") % {"host": host.name, "name": card.source})

    def _volume_id(self, name: str) -> int | None:
        """Raises: errors.NotPossible when this host does not see the volume."""
        volume_id = self._given.get(name)
        if volume_id is None:
            return None
        if type(volume_id) is not int:
            raise NotPossible(_("Choose the kernel and the initial RAM disk from the list."))
        volume_on(self._hypervisor, volume_id)
        return volume_id

    def _media(self) -> list[int]:
        media = self._given.get("media") or []
        if not isinstance(media, list) or len(media) > _MOST_MEDIA or not all(type(one) is int for one in media):
            raise NotPossible(_("Choose the images from the list; at most %(most)d.") % {"most": _MOST_MEDIA})
        for volume_id in media:
            place = volume_on(self._hypervisor, volume_id)
            if place.format not in ("iso", "raw"):
                raise NotPossible(
                    _("“%(name)s” is no ISO image but a disk image (%(format)s).")
                    % {"name": place.name, "format": place.format or "?"}
                )
        return media

    def _cloud_init(self) -> CloudInit | None:
        given = self._given.get("cloud_init")
        if given is None:
            return None
        if not isinstance(given, Mapping):
            raise NotPossible(_("The settings of cloud-init are fields with values."))
        settings = cloud_init_of(given)
        if settings.password:
            settings = replace(settings, password="", password_hash=hashed(settings.password))
        check_cloud_init(settings)
        return settings

    def _parameters(
        self,
        name: str,
        method: str,
        spec: DomainSpec,
        disks: list[DiskPlan],
        media: list[int],
        cloud_init: CloudInit | None,
        unattended: UnattendedInstall | None,
    ) -> CreateDomainParameters:
        given = self._given
        if cloud_init is not None:
            cloud_init = _with_macs(cloud_init, spec)
        files_pool = int(given.get("files_storage_pool_id") or 0)
        parameters = CreateDomainParameters(
            name=name,
            hypervisor_id=self._hypervisor.pk,
            method=method,
            spec=spec.to_json(),
            disks=[as_json(plan) for plan in disks],
            media=media,
            tree_url=str(given.get("tree_url") or ""),
            kernel_volume_id=self._volume_id("kernel_volume_id"),
            initrd_volume_id=self._volume_id("initrd_volume_id"),
            cmdline=_checked_cmdline(given.get("cmdline")),
            cloud_init=None if cloud_init is None else as_json(cloud_init),
            unattended=None if unattended is None else as_json(unattended),
            files_storage_pool_id=storage_pool_on(self._hypervisor, files_pool).pk if files_pool else 0,
            start=bool(given.get("start", True)),
            install=bool(given.get("install", method in INSTALLING_METHODS)),
            placement_reason=str(given.get("placement_reason") or ""),
            from_domain_uuid=str(given.get("from_domain_uuid") or ""),
        )
        _check_method(parameters, spec)
        return parameters


def _with_macs(settings: CloudInit, spec: DomainSpec) -> CloudInit:
    if len(settings.networks) > len(spec.interfaces):
        raise NotPossible(_("There are more networks for cloud-init than network cards."))
    cards = zip(settings.networks, spec.interfaces, strict=False)
    return replace(settings, networks=tuple(replace(plan, mac=card.mac) for plan, card in cards))


def _check_method(parameters: CreateDomainParameters, spec: DomainSpec) -> None:
    """Raises: errors.NotPossible when something is missing that the way to install needs."""
    plans = parameters.disk_plans
    needs: dict[str, Iterable[tuple[bool, str]]] = {
        Method.ISO: [(bool(parameters.media), _("Choose the ISO image to install from."))],
        Method.UNATTENDED: [
            (
                bool(parameters.media or parameters.tree_url),
                _("Choose the ISO image, or give the URL, to install from."),
            ),
            (parameters.unattended is not None, _("Say what the installer is to be told.")),
        ],
        Method.URL_TREE: [
            (bool(parameters.tree_url or parameters.kernel_volume_id), _("Give the URL of the installation tree."))
        ],
        Method.PXE: [(bool(spec.interfaces), _("To install from the network it needs a network card."))],
        Method.CLOUD_IMAGE: [(_has_source(plans), _("Choose the cloud image."))],
        Method.IMPORT: [(_has_source(plans), _("Choose the disk that has the system."))],
        Method.TEMPLATE: [(_has_source(plans), _("The template has no disk."))],
    }
    for is_there, text in needs.get(parameters.method, ()):
        if not is_there:
            raise NotPossible(text)
    if parameters.unattended is not None and parameters.cloud_init is not None:
        raise NotPossible(_("A machine is installed unattended, or told its settings by cloud-init; not both."))
    if parameters.unattended is not None:
        check_answers(parameters)
    if has_install_kernel(parameters) and not parameters.start:
        raise NotPossible(_("An installation by a kernel begins at once: choose to run the machine."))
    if parameters.tree_url:
        check_tree_url(parameters.tree_url)
    has_files = parameters.cloud_init is not None or parameters.unattended is not None or parameters.tree_url
    if has_files and not (parameters.files_storage_pool_id or plans):
        raise NotPossible(_("The seed or the kernel needs a storage pool: choose one for it."))


def _has_source(plans: Iterable[DiskPlan]) -> bool:
    return any(plan.source_volume_id is not None for plan in plans)


def _checked_cmdline(text: object) -> str:
    cmdline = str(text or "").strip()
    if len(cmdline) > _MOST_CMDLINE or not cmdline.isprintable():
        raise NotPossible(
            _("The kernel's arguments are one line of at most %(most)d characters.") % {"most": _MOST_CMDLINE}
        )
    return cmdline


def _check_whole(parameters: CreateDomainParameters, hypervisor: Hypervisor) -> None:
    """That the parts make one machine. Raises: ValueError, errors.NotPossible."""
    filled_spec(parameters, hypervisor)
