"""Asking for changes of a machine's hardware; what was typed comes back with what is wrong with it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import require
from hypervisors.errors import Conflict, NotPermitted, NotPossible
from hypervisors.libvirtxml.hardware.devices import build_device
from hypervisors.libvirtxml.hardware.fields import MissingValueError
from hypervisors.libvirtxml.hardware.sections import change_section
from hypervisors.models import Operation
from hypervisors.operations.engine.requests import request_operation
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.hardware.conflicts import conflicts_of
from hypervisors.web.domains.hardware.controls import Draft, draft_of
from hypervisors.web.domains.hardware.disk_sources import disk_parameters
from hypervisors.web.domains.hardware.host_devices import picked_values
from hypervisors.web.domains.hardware.machines import MachineHardware, hardware_of
from hypervisors.web.domains.hardware.pages import pane_context, whole_page
from hypervisors.web.domains.hardware.panes import (
    ADD,
    DEVICE,
    DRIVES,
    SECTION,
    XML,
    Part,
    pane_of,
    part_of,
    timing,
    title_of,
)
from hypervisors.web.domains.hardware.removals import beyond_the_role, removal_of, why_not_removed
from hypervisors.web.domains.hardware.timing import NEXT_START, NOW
from hypervisors.web.domains.hardware.type_words import type_words
from hypervisors.web.domains.hardware.words import field_label
from hypervisors.web.domains.pages import visible_domain
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import person

# What says where a disk's bytes are; a volume says all of it.
_SOURCE_FIELDS = frozenset({"type", "format"})


@require_POST
def change_hardware(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Applies the form of a section or a device, or adds one. Faults come back as the form, with what was typed."""
    domain = visible_domain(request, uuid)
    require(request.user, Privilege.DOMAIN_CONFIGURE, domain, what="change_device")
    machine = hardware_of(domain)
    posted = request.POST.dict()
    part = part_of(machine, posted.get("show", ""))
    if part.kind not in (SECTION, DEVICE, ADD):
        return refused(request, _("This machine does not have it any more."), status=422)
    draft = draft_of(part.fields, posted)
    conflicts = conflicts_of(machine, part, draft, posted)
    if conflicts:
        return _again(request, machine, part, draft, posted, conflicts=conflicts)
    try:
        parameters = _parameters(machine, part, draft, posted)
        _check_when(machine, part, draft, posted)
        operation = request_operation(
            user=person(request), subject=domain, kind=part.operation_kind, parameters=parameters
        )
    except NotPermitted:
        return _again(request, machine, part, draft, posted, error=beyond_the_role())
    except MissingValueError as error:
        return _again(request, machine, part, _with_missing(draft, error), posted, error=_needed(part, error))
    except (Conflict, NotPossible, ValueError) as error:
        return _again(request, machine, part, draft, posted, error=str(error))
    return _asked(request, machine, part, operation)


@require_http_methods(["GET", "HEAD", "POST"])
def remove_device(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: the question, which names the device and the machine. POST: takes it away, now or at the next start."""
    domain = visible_domain(request, uuid)
    require(request.user, Privilege.DOMAIN_CONFIGURE, domain, what="remove_device")
    machine = hardware_of(domain)
    given = request.POST if request.method == "POST" else request.GET
    removal = removal_of(machine, given.get("show", ""), wished=given.get("when", ""))
    error = why_not_removed(request.user, machine, removal) if request.method != "POST" else ""
    if request.method == "POST" and removal is not None:
        parameters = {
            "device_id": removal.device.id,
            "when": given.get("when", "now"),
            "confirmed": bool(given.get("confirmed")),
            "base_sha256": given.get("base_sha256", ""),
        }
        try:
            operation = request_operation(
                user=person(request), subject=domain, kind="remove_device", parameters=parameters
            )
        except NotPermitted:
            error = beyond_the_role()
        except (Conflict, NotPossible) as refusal:
            error = str(refusal)
        else:
            text = _("%(machine)s: remove %(device)s") % {"machine": domain.name, "device": removal.name}
            return done(request, text, back=domain, operation=operation)
    context = {"domain": domain, "removal": removal, "error": error, "base_sha256": machine.base_sha256}
    template = "domains/hardware/remove.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


@require_POST
def change_media(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Puts the image `volume` into a drive, or takes out what is in it."""
    domain = visible_domain(request, uuid)
    require(request.user, Privilege.DOMAIN_CONFIGURE, domain, what="change_media")
    volume = request.POST.get("volume", "")
    is_insert = request.POST.get("do") == "insert"
    if is_insert and not volume.isdecimal():
        return refused(request, _("Choose an image."), status=422)
    parameters = {
        "device_id": request.POST.get("show", ""),
        "volume_id": int(volume[:18]) if is_insert else None,
        "force": bool(request.POST.get("force")),
    }
    try:
        operation = request_operation(user=person(request), subject=domain, kind="change_media", parameters=parameters)
    except (Conflict, NotPossible) as error:
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    text = _("%(machine)s: insert a medium") if is_insert else _("%(machine)s: eject the medium")
    return done(request, text % {"machine": domain.name}, back=domain, operation=operation)


def _parameters(machine: MachineHardware, part: Part, draft: Draft, posted: Mapping[str, str]) -> dict[str, Any]:
    """Of the operation. Raises: ValueError, fit for people; what else is wrong says the operation."""
    common: dict[str, Any] = {"when": posted.get("when", "now"), "base_sha256": posted.get("base_sha256", "")}
    about: dict[str, Any] = {"device_type": part.key}
    if part.kind == SECTION:
        about = {"section": part.key}
    elif part.device is not None:
        about["device_id"] = part.device.id
    if posted.get("tab") == XML and part.kind != SECTION:
        return common | about | {"xml": posted.get("xml", ""), "values": {}}
    _check_errors(draft)
    values = part.after(draft) | (picked_values(part.key, posted.get("host-device", "")) if part.kind == ADD else {})
    source = _source(part, posted)
    if source:
        values = {name: value for name, value in values.items() if not _is_source(name)}
    else:
        _check_built(machine, part, values)
    return common | about | source | {"values": values}


def _check_when(machine: MachineHardware, part: Part, draft: Draft, posted: Mapping[str, str]) -> None:
    """Raises: ValueError for what was to be now and cannot be: nobody was told before they pressed the button."""
    found = timing(machine, part, draft, xml=posted.get("xml", ""))
    if posted.get("when", NOW) == NOW and not found.can_be_now and found.when == NEXT_START:
        raise ValueError(_("This waits for the next start: %(why)s Apply it again for that.") % {"why": found.why})


def _source(part: Part, posted: Mapping[str, str]) -> dict[str, Any]:
    if part.key == "disk":
        return disk_parameters(posted)
    medium = posted.get("disk-volume", "")
    if part.key in DRIVES and part.kind == ADD and medium.isdecimal():
        return {"volume_id": int(medium[:18])}
    return {}


def _is_source(name: str) -> bool:
    return name in _SOURCE_FIELDS or name.startswith(("source_", "auth_"))


def _with_missing(draft: Draft, error: MissingValueError) -> Draft:
    return replace(draft, errors={**draft.errors, error.field_name: _("This is needed.")})


def _needed(part: Part, error: MissingValueError) -> str:
    return _("“%(field)s” is needed.") % {"field": field_label(part.key, error.field_name)}


def _check_errors(draft: Draft) -> None:
    """Raises: ValueError for what stands beside its field already."""
    if draft.errors:
        raise ValueError(_("Something is not as it has to be: see below."))


def _check_built(machine: MachineHardware, part: Part, values: Mapping[str, Any]) -> None:
    """Raises: ValueError, in words."""
    if part.kind == SECTION:
        change_section(machine.stored_xml, part.key, values)
    else:
        build_device(part.key, values, part.device.xml if part.device else "")


def _again(
    request: HttpRequest, machine: MachineHardware, part: Part, draft: Draft, posted: Mapping[str, str], **said: Any
) -> HttpResponse:
    tab = XML if posted.get("tab") == XML else "details"
    pane = pane_of(machine, part, request.user, tab=tab, draft=draft, posted=posted, **said)
    if wants_part(request):
        return render(request, "domains/hardware/pane.html", pane_context(request, machine, pane), status=422)
    return whole_page(request, machine, pane, is_chosen=True, status=422)


def _asked(request: HttpRequest, machine: MachineHardware, part: Part, operation: Operation) -> HttpResponse:
    texts = {
        SECTION: _("%(machine)s: change of “%(part)s”"),
        DEVICE: _("%(machine)s: change of %(part)s"),
        ADD: _("%(machine)s: a new %(part)s"),
    }
    name = title_of(part) if part.kind != ADD else str(type_words(part.key).name)
    return done(
        request,
        texts[part.kind] % {"machine": machine.domain.name, "part": name},
        back=machine.domain,
        operation=operation,
    )


urlpatterns = [
    path("vms/<uuid:uuid>/hardware/change/", change_hardware, name="change_hardware"),
    path("vms/<uuid:uuid>/hardware/remove/", remove_device, name="remove_device"),
    path("vms/<uuid:uuid>/hardware/media/", change_media, name="change_media"),
]
