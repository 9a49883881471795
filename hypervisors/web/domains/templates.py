"""Templates: their list, and the page of one with its versions and the machines that are linked to it."""

from itertools import groupby

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import can, require
from hypervisors.administration.domain_templates import CHANGE_TEMPLATE, change_template
from hypervisors.broadcast import changes_group
from hypervisors.errors import NotPossible
from hypervisors.models import Domain, DomainTemplate
from hypervisors.operations.domains.linked_clones import linked_clones, own_volumes
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import possible_kinds
from hypervisors.privileges import Privilege
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.cloning import TemplateForm, initial_defaults
from hypervisors.web.permissions import person
from hypervisors.web.sequences import sequence_number


@require_safe
def templates(request: HttpRequest) -> HttpResponse:
    """By name, the latest version of each first."""
    sequence = sequence_number(changes_group(request.user))
    rows = DomainTemplate.objects.visible_to(request.user).present()
    rows = rows.select_related("domain__hypervisor", "hypervisor_pool", "storage_pool", "created_by")
    ordered = sorted(rows, key=lambda one: (one.name.casefold(), one.hypervisor_pool.name, -one.version))
    families = [list(same) for _name, same in groupby(ordered, key=lambda one: (one.name, one.hypervisor_pool_id))]
    # Made elsewhere, or before the database was lost: they say so themselves.
    unlisted = Domain.objects.visible_to(request.user).present().filter(is_template=True, template=None)
    context = {
        "sequence": sequence,
        "families": families,
        "unlisted": unlisted.select_related("hypervisor").order_by("name"),
    }
    return render(request, "templates/list.html", context)


@require_safe
def template(request: HttpRequest, pk: int) -> HttpResponse:
    sequence = sequence_number(changes_group(request.user))
    rows = DomainTemplate.objects.visible_to(request.user)
    rows = rows.select_related("domain__hypervisor", "hypervisor_pool", "storage_pool", "created_by")
    found = get_object_or_404(rows, pk=pk)
    seen = Domain.objects.visible_to(request.user)
    clones = linked_clones(found.domain)
    known = {one.uuid: one for one in seen.filter(uuid__in=[uuid for uuid, _name in clones if uuid is not None])}
    versions = rows.filter(hypervisor_pool=found.hypervisor_pool_id, name=found.name).order_by("-version")
    is_there = found.domain.vanished_at is None and found.domain.is_template
    reasons = possible_kinds(found.domain) if is_there else {}
    context = {
        "sequence": sequence,
        "template": found,
        "domain": found.domain,
        "is_there": is_there,
        "versions": versions,
        "clones": [known[uuid] for uuid, _name in clones if uuid in known],
        "hidden_count": sum(1 for uuid, _name in clones if uuid not in known),
        "volumes": own_volumes(found.domain),
        "may_create": can(request.user, Privilege.DOMAIN_CREATE, found.domain),
        "clone_reason": reasons.get("clone_domain", ""),
        "unmake_reason": reasons.get("unmake_template", ""),
        "unmake": operation_type("unmake_template"),
    }
    return render(request, "templates/page.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def template_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: the dialog. POST: what it says, and what new machines get."""
    rows = DomainTemplate.objects.visible_to(request.user).select_related("domain__hypervisor")
    found = get_object_or_404(rows, pk=pk)
    require(request.user, Privilege.DOMAIN_CREATE, found.domain, what=CHANGE_TEMPLATE)
    initial = {"description": found.description, **initial_defaults(found)}
    form, error = TemplateForm(request.POST or None, domain=found.domain, initial=initial), ""
    if request.method == "POST" and form.is_valid():
        try:
            change_template(person(request), found, form.parameters())
        except NotPossible as refusal:
            error = str(refusal)
        else:
            return _changed(request, found)
    context = {"template": found, "domain": found.domain, "form": form, "error": error}
    return render(request, f"templates/edit.html{'#dialog' if wants_part(request) else ''}", context)


def _changed(request: HttpRequest, template: DomainTemplate) -> HttpResponse:
    url = template.get_absolute_url()
    return HttpResponse(status=204, headers={"HX-Redirect": url}) if wants_part(request) else redirect(url)


urlpatterns = [
    path("templates/", templates, name="templates"),
    path("templates/<row:pk>/", template, name="template"),
    path("templates/<row:pk>/edit/", template_edit, name="template_edit"),
]
