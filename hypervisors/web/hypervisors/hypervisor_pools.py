"""Pages of one hypervisor pool: what it has, and adding, changing and removing pools."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import permitted
from hypervisors.administration.hypervisor_pools import (
    add_hypervisor_pool,
    change_hypervisor_pool,
    remove_hypervisor_pool,
    require_managing_pool,
)
from hypervisors.broadcast import changes_group
from hypervisors.errors import Conflict
from hypervisors.models import Domain, Hypervisor, HypervisorPool
from hypervisors.privileges import Privilege
from hypervisors.states import ACTIVE_DOMAIN_STATES
from hypervisors.web.hypervisors.pages import hypervisor_rows
from hypervisors.web.permissions import needs, person
from hypervisors.web.sequences import sequence_number
from hypervisors.web.storage.lists import storage_lines

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[HypervisorPool]
else:
    ModelForm = forms.ModelForm


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What the pool's hosts have in all, how much those online use, and what active virtual machines were promised."""

    cpu_count: int
    cpu_percent: float | None
    vcpu_count: int
    memory_kib: int
    memory_used_kib: int
    promised_memory_kib: int


class HypervisorPoolForm(ModelForm):
    class Meta:
        model = HypervisorPool
        fields = ("name", "description")
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}
        error_messages = {"name": {"unique": gettext_lazy("Another pool has this name already.")}}

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise ValidationError(_("A name is one line of printable characters."))
        return name


@require_safe
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_pool(request: HttpRequest, pk: int) -> HttpResponse:
    sequence = sequence_number(changes_group(request.user))
    pool = _visible(request, pk)
    rows = hypervisor_rows(pool.hypervisors.all())
    domains = Domain.objects.present().filter(hypervisor__hypervisor_pool=pool)
    lines = storage_lines(request.user, hypervisor_pool=pool)
    context = {
        "sequence": sequence,
        "pool": pool,
        "rows": rows,
        "online_count": sum(row.is_online for row in rows),
        "domain_count": sum(row.domain_count for row in rows),  # type: ignore[attr-defined]
        "running_count": sum(row.running_count for row in rows),  # type: ignore[attr-defined]
        "capacity": _capacity(
            rows,
            domains.filter(state__in=ACTIVE_DOMAIN_STATES).aggregate(vcpus=Sum("vcpu_count"), memory=Sum("memory_kib")),
        ),
        "lines": lines,
        "shared_count": sum(line.is_proved and not line.unseen for line in lines if line.is_shared),
    }
    return render(request, "hypervisor_pools/page.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_pool_add(request: HttpRequest) -> HttpResponse:
    require_managing_pool(person(request), None, what="add a pool")
    return _edit(request, HypervisorPool())


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_pool_edit(request: HttpRequest, pk: int) -> HttpResponse:
    pool = _visible(request, pk)
    require_managing_pool(person(request), pool)
    return _edit(request, pool)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_pool_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """GET is the confirmation. Refused while it has hypervisors."""
    pool = _visible(request, pk)
    require_managing_pool(person(request), pool, what="remove a pool")
    rows = list(pool.hypervisors.only("name"))
    if request.method == "POST":
        with suppress(Conflict):
            remove_hypervisor_pool(person(request), pool)
            messages.success(request, _("The pool “{name}” is removed.").format(name=pool.name))
            return redirect("hypervisors")
    status = 422 if request.method == "POST" else 200
    return render(request, "hypervisor_pools/remove.html", {"pool": pool, "rows": rows}, status=status)


def _capacity(rows: list[Hypervisor], promised: dict[str, int | None]) -> Capacity:
    online = [row for row in rows if row.is_online]
    measured = [(row.cpu_percent, row.cpu_count or 0) for row in online if row.cpu_percent is not None]
    measured_cpus = sum(cpus for _, cpus in measured)
    return Capacity(
        cpu_count=sum(row.cpu_count or 0 for row in rows),
        cpu_percent=sum(percent * cpus for percent, cpus in measured) / measured_cpus if measured_cpus else None,
        vcpu_count=promised["vcpus"] or 0,
        memory_kib=sum(row.memory_kib or 0 for row in rows),
        memory_used_kib=sum(row.memory_used_kib or 0 for row in online),
        promised_memory_kib=promised["memory"] or 0,
    )


def _edit(request: HttpRequest, pool: HypervisorPool) -> HttpResponse:
    is_new = pool.pk is None
    form = HypervisorPoolForm(request.POST or None, instance=pool)
    if request.method == "POST" and form.is_valid():
        values = {name: form.cleaned_data[name] for name in ("name", "description")}
        if is_new:
            pool = add_hypervisor_pool(person(request), **values)
        else:
            pool = change_hypervisor_pool(person(request), pool.pk, **values)
        return redirect("hypervisor_pool", pk=pool.pk)
    # The heading names the pool as it is stored, not as it was just typed.
    stored_name = "" if is_new else HypervisorPool.objects.values_list("name", flat=True).get(pk=pool.pk)
    context = {"form": form, "pool": pool, "stored_name": stored_name}
    return render(request, "hypervisor_pools/form.html", context, status=422 if form.errors else 200)


def _visible(request: HttpRequest, pk: int) -> HypervisorPool:
    """Raises: Http404."""
    return get_object_or_404(permitted(request.user, Privilege.HYPERVISOR_VIEW, HypervisorPool.objects.all()), pk=pk)


urlpatterns = [
    path("hypervisors/pools/add/", hypervisor_pool_add, name="hypervisor_pool_add"),
    path("hypervisors/pools/<row:pk>/", hypervisor_pool, name="hypervisor_pool"),
    path("hypervisors/pools/<row:pk>/edit/", hypervisor_pool_edit, name="hypervisor_pool_edit"),
    path("hypervisors/pools/<row:pk>/remove/", hypervisor_pool_remove, name="hypervisor_pool_remove"),
]
