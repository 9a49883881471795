"""Moving a machine's disk to another storage pool, and the images that its disks are made of: two dialogs."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from hypervisors.access import can, require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Domain, Operation, StoragePool
from hypervisors.operations.domains.merging.chains import disk_chains
from hypervisors.operations.domains.moving.disks import MovableDisk, is_on_one_host_only, movable_disks, target_pools
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.templatetags.units import size
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.naming import visible
from hypervisors.web.permissions import person

_MIB = 1024**2
# How the images of a disk are merged: into one of them, or all below into its own.
_MERGES = ("commit_disk", "pull_disk")


class MoveDiskForm(forms.Form):
    """Its `given` are the operation's parameters."""

    disk = forms.ChoiceField(label=gettext_lazy("Disk"), widget=forms.RadioSelect(attrs={"class": "form-check-input"}))
    storage_pool_id = forms.TypedChoiceField(
        label=gettext_lazy("To the storage pool"), coerce=int, widget=forms.Select(attrs={"class": "form-select"})
    )
    format = forms.ChoiceField(
        label=gettext_lazy("Format"),
        choices=[("", gettext_lazy("as it is")), ("qcow2", "qcow2"), ("raw", "raw")],
        required=False,
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    speed = forms.IntegerField(
        label=gettext_lazy("At most, MiB/s"),
        min_value=1,
        max_value=1_000_000,
        required=False,
        widget=forms.NumberInput(attrs={"class": "form-control", "inputmode": "numeric"}),
    )
    delete_source = forms.BooleanField(
        label=gettext_lazy("Delete the old volume when it has moved"),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    overcommitted = forms.BooleanField(
        label=gettext_lazy("Move it although it can grow beyond what is free"),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )

    def __init__(self, *args: Any, domain: Domain, pools: list[StoragePool], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.domain = domain
        self.disks = movable_disks(domain)
        self.pools = pools
        self.needs_overcommitment = False
        fields: dict[str, Any] = self.fields
        fields["disk"].choices = [(disk.target, disk.target) for disk in self.disks]
        fields["storage_pool_id"].choices = [(pool.pk, _pool_words(pool)) for pool in pools]

    def given(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {
            "disk": data["disk"],
            "storage_pool_id": data["storage_pool_id"],
            "format": data["format"],
            "delete_source": data["delete_source"],
            "overcommitted": data["overcommitted"],
            "bytes_per_second": (data["speed"] or 0) * _MIB,
        }

    def note_overcommitment(self) -> None:
        """The question is shown once it is needed: the disk can grow beyond what the storage pool has."""
        pool = next((pool for pool in self.pools if pool.pk == self.cleaned_data.get("storage_pool_id")), None)
        disk = self._disk(self.cleaned_data.get("disk"))
        if pool is not None and disk is not None and disk.volume is not None:
            self.needs_overcommitment = disk.volume.capacity_bytes > pool.available_bytes

    def _disk(self, target: object) -> MovableDisk | None:
        return next((disk for disk in self.disks if disk.target == target), None)


@require_http_methods(["GET", "HEAD", "POST"])
def move_disk(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: the dialog, `?disk=vda` chosen. POST: has the disk moved, or comes back with what is wrong."""
    domain = _visible(request, uuid)
    require(request.user, Privilege.STORAGE_MANAGE, domain, what="move_disk")
    pools = [pool for pool in _pools(domain) if can(request.user, Privilege.STORAGE_MANAGE, pool)]
    form = MoveDiskForm(request.POST or None, domain=domain, pools=pools)
    form.initial["disk"] = _chosen(form.disks, request.GET.get("disk", ""))
    if request.method == "POST" and form.is_valid():
        try:
            operation = request_operation(
                user=person(request), kind="move_disk", subject=domain, parameters=form.given()
            )
        except (Conflict, NotPossible) as error:
            form.note_overcommitment()
            form.add_error(None, str(error))
        else:
            return _done(request, domain, operation)
    context = {
        "domain": domain,
        "form": form,
        "reason": _reason(domain, form),
        "chosen": form["disk"].value() or "",
    }
    return render(request, _dialog_or_page(request, "domains/move_disk.html"), context)


@require_http_methods(["GET", "HEAD", "POST"])
def disk_images(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: what each disk is made of. POST `kind`, `disk` and `into`: has images merged."""
    domain = _visible(request, uuid)
    require(request.user, Privilege.STORAGE_MANAGE, domain, what="commit_disk")
    error = ""
    if request.method == "POST":
        kind = request.POST.get("kind", "")
        given = {"disk": request.POST.get("disk", ""), "into": request.POST.get("into", "")}
        given["delete_merged"] = request.POST.get("delete_merged", "")
        try:
            if kind not in _MERGES:
                raise NotPossible(_("Choose how the images are to be merged."))
            operation = request_operation(user=person(request), kind=kind, subject=domain, parameters=given)
        except (Conflict, NotPossible) as refusal:
            error = str(refusal)
        else:
            return _done(request, domain, operation)
    context = {
        "domain": domain,
        "chains": disk_chains(domain),
        "reason": why_not(domain, "commit_disk"),
        "error": error,
    }
    return render(request, _dialog_or_page(request, "domains/disk_images.html"), context)


def _pool_words(pool: StoragePool) -> str:
    words = {"name": visible(pool.name), "free": size(pool.available_bytes)}
    if is_on_one_host_only(pool):
        # What has a disk there stays there.
        return _("%(name)s: %(free)s free, on this host only") % words
    return _("%(name)s: %(free)s free") % words


def _reason(domain: Domain, form: MoveDiskForm) -> str:
    """Why nothing can move now; "" when something can."""
    reason = why_not(domain, "move_disk")
    if not reason and not form.disks:
        reason = _("It has no disk.")
    if not reason and not form.pools:
        reason = _("There is no storage pool on its host that you may put a disk into.")
    return reason


def _chosen(disks: tuple[MovableDisk, ...], wanted: str) -> str:
    """The one that was asked for, else the only one that can move."""
    possible = [disk.target for disk in disks if not disk.reason]
    return wanted if wanted in possible else possible[0] if len(possible) == 1 else ""


def _pools(domain: Domain) -> list[StoragePool]:
    return target_pools(domain.hypervisor) if domain.hypervisor is not None else []


def _done(request: HttpRequest, domain: Domain, operation: Operation) -> HttpResponse:
    return done(
        request, f"{domain.name}: {operation_type(operation.kind).title(operation)}", back=domain, operation=operation
    )


def _dialog_or_page(request: HttpRequest, template: str) -> str:
    return f"{template}#dialog" if wants_part(request) else template


def _visible(request: HttpRequest, uuid: UUID) -> Domain:
    """Raises: Http404 for strangers."""
    return get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)


urlpatterns = [
    path("vms/<uuid:uuid>/disks/move/", move_disk, name="domain_move_disk"),
    path("vms/<uuid:uuid>/disks/images/", disk_images, name="domain_disk_images"),
]
