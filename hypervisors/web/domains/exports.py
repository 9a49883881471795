"""Exporting a virtual machine: the dialog, and what of earlier exports can be downloaded."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from hypervisors.access import can, permitted, require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Domain, Operation, StoragePool, Volume
from hypervisors.operations.domains.creation.places import is_block
from hypervisors.operations.domains.export_domain import FORMATS
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.states import OperationState
from hypervisors.templatetags.units import size
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.permissions import person

_EXPORTS_SHOWN = 5


class ExportForm(forms.Form):
    """Its cleaned data are the operation's parameters."""

    format = forms.ChoiceField(
        label=gettext_lazy("Format"),
        choices=list(FORMATS.items()),
        initial="ova",
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )
    name = forms.CharField(label=gettext_lazy("Name of the file"), max_length=90, strip=True)
    storage_pool_id = forms.TypedChoiceField(label=gettext_lazy("Into the storage pool"), coerce=int)

    def __init__(self, *args: Any, domain: Domain, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["storage_pool_id"]
        field.choices = [
            (pool.pk, _("%(name)s: %(free)s free") % {"name": pool.name, "free": size(pool.available_bytes)})
            for pool in storage_pools_for_files(domain)
        ]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A file of an earlier export that is still there."""

    volume: Volume
    made_at: datetime | None

    @property
    def url(self) -> str:
        """Of the transfer process, which is no part of Django's routes."""
        return f"/transfer/volumes/{self.volume.pk}"


def storage_pools_for_files(domain: Domain) -> list[StoragePool]:
    """Those of its host that can take files, that with most room first."""
    pools = StoragePool.objects.present().filter(hypervisor=domain.hypervisor, active=True).exclude(target_path="")
    return sorted((pool for pool in pools if not is_block(pool)), key=lambda pool: -pool.available_bytes)


def earlier_exports(domain: Domain, user: Any) -> list[Exported]:
    """The latest first; only what the person may see."""
    rows = Operation.objects.filter(kind="export_domain", domain=domain, state=OperationState.SUCCEEDED)
    found: list[Exported] = []
    for operation in rows.order_by("-requested_at")[:_EXPORTS_SHOWN]:
        volumes = permitted(user, Privilege.STORAGE_VIEW, Volume.objects.present()).select_related("storage_pool")
        stem, format_ = operation.parameters.get("stem", ""), operation.parameters.get("format", "")
        mine = volumes.filter(storage_pool=operation.parameters.get("storage_pool_id"), name__startswith=stem)
        names = {f"{stem}.ova"} if format_ == "ova" else _disk_names(stem, len(operation.parameters.get("disks", ())))
        found += [Exported(volume=one, made_at=operation.ended_at) for one in mine.filter(name__in=names)]
    return list({one.volume.pk: one for one in found}.values())


@require_http_methods(["GET", "HEAD", "POST"])
def export_domain(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: the dialog. POST: has it exported, or comes back with what is wrong."""
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)
    require(request.user, Privilege.DOMAIN_CREATE, domain, what="export_domain")
    form = ExportForm(request.POST or None, domain=domain, initial={"name": domain.name})
    if request.method == "POST" and form.is_valid():
        try:
            request_operation(user=person(request), kind="export_domain", subject=domain, parameters=form.cleaned_data)
        except (Conflict, NotPossible) as error:
            form.add_error(None, str(error))
        else:
            return done(request, _("“%(name)s” is being exported.") % {"name": domain.name}, back=domain)
    context = {
        "domain": domain,
        "form": form,
        "reason": why_not(domain, "export_domain"),
        "exports": earlier_exports(domain, request.user),
        "may_download": can(request.user, Privilege.STORAGE_MANAGE, domain),
    }
    template = "domains/export.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


def _disk_names(stem: str, count: int) -> set[str]:
    return {f"{stem}-{number}.qcow2" for number in range(1, count + 1)}


urlpatterns = [path("vms/<uuid:uuid>/export/", export_domain, name="export_domain")]
