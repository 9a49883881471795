"""Cloning a machine, making machines of a template, and making a machine a template: their dialogs."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from hypervisors.access import require
from hypervisors.errors import Conflict, NotPermitted, NotPossible
from hypervisors.models import Domain, DomainTemplate, Network, StoragePool
from hypervisors.operations.domains.cloning.plan import ClonePlan, clone_plan
from hypervisors.operations.domains.cloning.requests import request_clones
from hypervisors.operations.domains.creation.names import numbered_names
from hypervisors.operations.domains.make_template import next_version
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.templatetags.units import size
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.forms import OperationForm
from hypervisors.web.naming import visible
from hypervisors.web.permissions import person

_MOST_AT_ONCE = 50
_KIB_PER_MIB = 1024


class CloneForm(OperationForm):
    """A copy, or several: `{n}` in the name counts. Disks are fields of their own, see `actions`."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=255, strip=True)
    count = forms.IntegerField(label=gettext_lazy("How many"), min_value=1, max_value=_MOST_AT_ONCE, initial=1)
    linked = forms.ChoiceField(
        label=gettext_lazy("Disks"),
        required=False,
        choices=[
            ("1", gettext_lazy("Linked: ready at once, on top of the template's")),
            ("", gettext_lazy("Full copies, which need the template no more")),
        ],
    )
    storage_pool_id = forms.TypedChoiceField(label=gettext_lazy("Storage pool"), coerce=int, required=False)
    vcpus = forms.IntegerField(label=gettext_lazy("vCPUs"), min_value=1, max_value=512, required=False)
    memory_mib = forms.IntegerField(label=gettext_lazy("Memory, MiB"), min_value=16, max_value=2**24, required=False)
    network = forms.ChoiceField(label=gettext_lazy("Network"), required=False)
    cloud_init = forms.BooleanField(label=gettext_lazy("Give it its own host name by cloud-init"), required=False)
    user = forms.CharField(label=gettext_lazy("User"), max_length=32, required=False, strip=True)
    ssh_keys = forms.CharField(
        label=gettext_lazy("SSH keys"), required=False, widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"})
    )
    start = forms.BooleanField(label=gettext_lazy("Start it"), required=False)

    def prepare(self) -> None:
        self._field("storage_pool_id").choices = _storage_pools(self.domain)
        self._field("network").choices = _networks(self.domain)

    def names(self) -> list[str]:
        """Raises: errors.NotPossible."""
        return numbered_names(self.cleaned_data["name"], self.cleaned_data["count"])

    def parameters(self, actions: dict[str, str]) -> dict[str, Any]:
        """Of clone_domain, all but the name."""
        given = self.cleaned_data
        memory_mib = given["memory_mib"]
        return {
            "actions": actions,
            "linked": bool(given["linked"]),
            "storage_pool_id": given["storage_pool_id"] or 0,
            "vcpus": given["vcpus"],
            "memory_kib": memory_mib * _KIB_PER_MIB if memory_mib else None,
            "network": given["network"],
            "start": given["start"],
            "cloud_init": _settings(given) if given["cloud_init"] else None,
        }

    def _field(self, name: str) -> Any:
        return self.fields[name]


class TemplateForm(OperationForm):
    """What machines made of a template get unless told otherwise."""

    description = forms.CharField(
        label=gettext_lazy("Description"), required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2})
    )
    vcpus = forms.IntegerField(label=gettext_lazy("vCPUs"), min_value=1, max_value=512, required=False)
    memory_mib = forms.IntegerField(label=gettext_lazy("Memory, MiB"), min_value=16, max_value=2**24, required=False)
    network = forms.ChoiceField(label=gettext_lazy("Network"), required=False)
    cloud_init = forms.BooleanField(label=gettext_lazy("Its guest has cloud-init"), required=False)

    def prepare(self) -> None:
        network: Any = self.fields["network"]
        choices, kept = _networks(self.domain), self.initial.get("network", "")
        # One that the host does not have now stays what it is.
        network.choices = choices if kept in dict(choices) else [*choices, (kept, visible(kept))]

    def parameters(self) -> dict[str, Any]:
        given = dict(self.cleaned_data)
        memory_mib = given.pop("memory_mib")
        return given | {"memory_kib": memory_mib * _KIB_PER_MIB if memory_mib else None}


class MakeTemplateForm(TemplateForm):
    """And what it is called."""

    name = forms.CharField(label=gettext_lazy("Name of the template"), max_length=255, strip=True)


@require_http_methods(["GET", "HEAD", "POST"])
def clone_domain(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: what becomes of each disk, and what is asked. POST the form, and `disk-<target>` for disks: clone it."""
    domain = _visible(request, uuid)
    require(request.user, Privilege.DOMAIN_CREATE, domain, what="clone_domain")
    plan, error = clone_plan(domain), ""
    form = CloneForm(request.POST or None, domain=domain, initial=_clone_initial(domain))
    if request.method == "POST" and form.is_valid():
        try:
            accepted = request_clones(
                user=person(request),
                domain=domain,
                names=form.names(),
                parameters=form.parameters(_actions(request, plan)),
            )
        except (Conflict, NotPossible, NotPermitted) as refusal:
            error = str(refusal)
        else:
            count = len(accepted)
            text = ngettext("Clone: %(name)s", "Clone: %(count)d machines of %(name)s", count)
            return done(request, text % {"name": domain.name, "count": count}, back=domain)
    context = {
        "domain": domain,
        "template": DomainTemplate.objects.filter(domain=domain).first(),
        "plan": plan,
        "memory_mib": domain.memory_kib // _KIB_PER_MIB,
        "form": form,
        "error": error,
        "reason": "" if error else why_not(domain, "clone_domain"),
        "chosen": _actions(request, plan) if request.method == "POST" else {},
    }
    return render(request, _dialog_or_page(request, "domains/clone.html"), context)


@require_http_methods(["GET", "HEAD", "POST"])
def make_template(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: what it is to be called. POST: make it a template."""
    domain = _visible(request, uuid)
    require(request.user, Privilege.DOMAIN_CREATE, domain, what="make_template")
    error = ""
    form = MakeTemplateForm(request.POST or None, domain=domain, initial=_template_initial(domain))
    if request.method == "POST" and form.is_valid():
        try:
            request_operation(user=person(request), subject=domain, kind="make_template", parameters=form.parameters())
        except (Conflict, NotPossible, NotPermitted) as refusal:
            error = str(refusal)
        else:
            return done(request, _("Template: %(name)s") % {"name": domain.name}, back=domain)
    names = list(
        DomainTemplate.objects.visible_to(request.user)
        .filter(hypervisor_pool=domain.hypervisor.hypervisor_pool_id if domain.hypervisor else None)
        .order_by("name")
        .values_list("name", flat=True)
        .distinct()
    )
    context = {
        "domain": domain,
        "form": form,
        "error": error,
        "reason": "" if error else why_not(domain, "make_template"),
        "versions": [(name, next_version(domain, name)) for name in names],
    }
    return render(request, _dialog_or_page(request, "domains/make_template.html"), context)


def _clone_initial(domain: Domain) -> dict[str, Any]:
    template = DomainTemplate.objects.filter(domain=domain).first()
    if template is None:
        return {"name": f"{domain.name}-clone", "count": 1}
    return {"name": "", "count": 1, "linked": "1", "start": True, **initial_defaults(template)}


def initial_defaults(template: DomainTemplate) -> dict[str, Any]:
    """As the fields of the forms."""
    memory_kib = template.defaults.get("memory_kib")
    return {
        "vcpus": template.defaults.get("vcpus"),
        "memory_mib": memory_kib // _KIB_PER_MIB if memory_kib else None,
        "network": template.defaults.get("network", ""),
        "cloud_init": template.defaults.get("cloud_init", False),
    }


def _template_initial(domain: Domain) -> dict[str, Any]:
    return {"name": domain.name, "vcpus": domain.vcpu_count, "memory_mib": domain.memory_kib // _KIB_PER_MIB}


def _actions(request: HttpRequest, plan: ClonePlan) -> dict[str, str]:
    given = {disk.target: request.POST.get(f"disk-{disk.target}", "") for disk in plan.disks}
    return {target: action for target, action in given.items() if action}


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """For cloud-init; the host name is the machine's."""
    keys = [line.strip() for line in given["ssh_keys"].splitlines() if line.strip()]
    return {"user": given["user"], "ssh_keys": keys}


def _storage_pools(domain: Domain) -> list[tuple[Any, str]]:
    pools = StoragePool.objects.present().filter(hypervisor=domain.hypervisor_id, active=True).order_by("name")
    first = ("", _("Where the original's disks are"))
    text = _("%(name)s, %(free)s free")
    return [first, *((one.pk, text % {"name": visible(one.name), "free": size(one.available_bytes)}) for one in pools)]


def _networks(domain: Domain) -> list[tuple[str, str]]:
    names = Network.objects.filter(hypervisor=domain.hypervisor_id).order_by("name").values_list("name", flat=True)
    return [("", _("As in the original")), *((name, visible(name)) for name in names)]


def _visible(request: HttpRequest, uuid: UUID) -> Domain:
    """Raises: Http404 for strangers."""
    seen = Domain.objects.visible_to(request.user).select_related("hypervisor__hypervisor_pool")
    return get_object_or_404(seen, uuid=uuid)


def _dialog_or_page(request: HttpRequest, template: str) -> str:
    return f"{template}#dialog" if wants_part(request) else template


urlpatterns = [
    path("vms/<uuid:uuid>/clone/", clone_domain, name="clone_domain"),
    path("vms/<uuid:uuid>/template/", make_template, name="make_template"),
]
