"""End a machine's first boots: eject the media, forget the installation, delete its seed, start it again where meant.

Every part may be done twice; a worker that goes on after another died does them all again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.domains.actions import start_domain
from hypervisors.gateway.domains.definitions import eject_media, find_domain, set_install_marker
from hypervisors.gateway.storage.volumes import delete_volume
from hypervisors.inventory.storage.origins import forget_origin
from hypervisors.models import Domain, Installation, StoragePool, Volume
from hypervisors.operations.domains.creation.install_phase import end_installation
from hypervisors.operations.domains.domain_operations import MORE, DomainOperation
from hypervisors.operations.engine.runs import Result, Run, succeeded
from hypervisors.operations.storage.latest_volume_users import why_in_use_now
from hypervisors.operations.storage.storage_operations import storage_pools_of, tell_host

_START_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class FinishInstallParameters:
    """`start`: its power-off was meant as a reboot. `text`: why it is finished."""

    start: bool = False
    text: str = ""


def _not_installing(domain: Domain) -> str:
    installation = Installation.objects.of(domain)
    is_over = installation is None or installation.ended_at is not None
    return str(_("It is not being installed.")) if is_over else ""


class FinishInstall(DomainOperation):
    kind = "finish_install"
    label = gettext_lazy("Finish the installation")
    icon = "disc-off"
    group, position = MORE, 70
    question = gettext_lazy("Finish the installation of “%s”?")
    warning = gettext_lazy("Its installation media are ejected, and it boots from its disk from now on.")
    obstacles = (_not_installing,)
    Parameters: ClassVar[type[Any]] = FinishInstallParameters

    def is_offered(self, domain: Domain) -> bool:
        return not _not_installing(domain)

    def check(self, domain: Domain, given: Mapping[str, Any]) -> FinishInstallParameters:
        return FinishInstallParameters(start=bool(given.get("start")), text=str(given.get("text") or ""))

    def run(self, run: Run) -> Result:
        domain = run.operation.domain
        installation = None if domain is None else Installation.objects.of(domain)
        if installation is None:
            return succeeded(_("Nothing of an installation is left."))
        run.ask(lambda connection: eject_media(connection, run.uuid, installation.media))
        run.ask(lambda connection: set_install_marker(connection, run.uuid, None))
        left = [text for text in (_delete_file(run, file) for file in installation.files) if text]
        text = " ".join([run.parameters.text or str(_("The media are ejected.")), *left])
        end_installation(installation, text)
        if run.parameters.start:
            _start(run)
        return succeeded(text)


def _start(run: Run) -> None:
    found = run.ask(lambda connection: find_domain(connection, run.uuid))
    if found is not None and not found.is_active:
        run.ask(lambda connection: start_domain(connection, run.uuid), seconds=_START_SECONDS)


def _delete_file(run: Run, file: Mapping[str, Any]) -> str:
    """Delete a seed or a kernel that the creation has made; why it stays, "" when it is gone."""
    storage_pool = StoragePool.objects.select_related("hypervisor").filter(pk=file["storage_pool"]).first()
    pool = None if storage_pool is None else _on_host(run, storage_pool)
    if pool is None:
        return str(_("“%(name)s” stays: its storage pool is not seen here.") % {"name": file["name"]})
    name = str(file["name"])
    volume = Volume.objects.filter(storage_pool=pool, name=name).first()
    try:
        reason = "" if volume is None else why_in_use_now(run, volume)
        if reason:
            return str(_("“%(name)s” stays: %(reason)s") % {"name": name, "reason": reason})
        run.ask(lambda connection: delete_volume(connection, pool.uuid, name))
        forget_origin(pool, name)
    except HypervisorError as error:
        return str(_("“%(name)s” stays: %(reason)s") % {"name": name, "reason": error})
    for one in storage_pools_of(pool):
        tell_host(run, one)
    return ""


def _on_host(run: Run, storage_pool: StoragePool) -> StoragePool | None:
    """The machine may have moved since."""
    pools = StoragePool.objects.present().select_related("hypervisor").filter(hypervisor=run.source)
    return pools.same_storage_as(storage_pool).first()
