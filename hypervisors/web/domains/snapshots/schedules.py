"""The schedules by which vmportal takes snapshots of a machine: added, changed and removed in dialogs."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from hypervisors.access import require
from hypervisors.administration.snapshot_schedules import (
    add_schedule,
    change_schedule,
    remove_schedule,
    take_over_schedule,
)
from hypervisors.errors import NotPossible
from hypervisors.models import Domain, SnapshotSchedule
from hypervisors.operations.domains.snapshotting.names import checked_snapshot_name
from hypervisors.operations.domains.snapshotting.plan import MODES, snapshot_plan
from hypervisors.planning.snapshot_times import DAILY, HOURS, WEEKLY
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.forms import OperationForm
from hypervisors.web.domains.snapshots.problems import why_owner_may_not
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import person

FREQUENCIES = {
    HOURS: gettext_lazy("Every few hours"),
    DAILY: gettext_lazy("Every day"),
    WEEKLY: gettext_lazy("Every week"),
}


class ScheduleForm(OperationForm):
    """Its cleaned data are the values of a schedule."""

    # Not "prefix": forms have one of their own.
    stem = forms.CharField(label=gettext_lazy("Names begin with"), max_length=40, strip=True)
    frequency = forms.ChoiceField(label=gettext_lazy("How often"), choices=list(FREQUENCIES.items()))
    every_hours = forms.IntegerField(
        label=gettext_lazy("Hours between two"), min_value=1, max_value=168, required=False
    )
    # In words of its own: the browsers' own control takes three stops of the Tab key, and says "AM".
    at_time = forms.TimeField(
        label=gettext_lazy("At"),
        required=False,
        input_formats=["%H:%M"],
        error_messages={"invalid": gettext_lazy("Say it like 03:00 or 15:30.")},
        widget=forms.TimeInput(attrs={"inputmode": "numeric", "autocomplete": "off"}, format="%H:%M"),
    )
    weekday = forms.TypedChoiceField(
        label=gettext_lazy("On"), choices=list(WEEKDAYS.items()), coerce=int, required=False
    )
    keep = forms.IntegerField(label=gettext_lazy("How many are kept"), min_value=1, max_value=200)
    mode = forms.ChoiceField(label=gettext_lazy("What is kept, and where"), choices=list(MODES.items()))
    quiesce = forms.BooleanField(
        label=gettext_lazy("Freeze the guest's file systems where its agent can"), required=False
    )
    enabled = forms.BooleanField(label=gettext_lazy("Switched on"), required=False)

    def __init__(self, *args: Any, domain: Domain, **kwargs: Any) -> None:
        super().__init__(*args, domain=domain, **kwargs)
        for name in ("frequency", "weekday", "mode"):
            self.fields[name].widget.attrs["class"] = "form-select"

    def clean_stem(self) -> str:
        stem = str(self.cleaned_data["stem"])
        try:
            checked_snapshot_name(f"{stem}-x", ())
        except NotPossible as error:
            raise ValidationError(str(error)) from error
        return stem

    def clean(self) -> dict[str, Any]:
        """What the frequency has no use for keeps its default."""
        given = super().clean() or self.cleaned_data
        frequency = given.get("frequency")
        if frequency == HOURS and given.get("every_hours") is None:
            self.add_error("every_hours", _("Say after how many hours."))
        if frequency in (DAILY, WEEKLY) and given.get("at_time") is None:
            self.add_error("at_time", _("Say at what time."))
        defaults = {"every_hours": 1, "at_time": SnapshotSchedule().at_time, "weekday": 0}
        given |= {name: value for name, value in defaults.items() if given.get(name) in (None, "")}
        return given | {"prefix": given.get("stem", "")}


@require_http_methods(["GET", "HEAD", "POST"])
def add_snapshot_schedule(request: HttpRequest, uuid: UUID) -> HttpResponse:
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)
    require(request.user, Privilege.DOMAIN_SNAPSHOT, domain, what="add snapshot schedule")
    if request.method != "POST":
        initial = {
            "stem": "auto",
            "frequency": DAILY,
            "every_hours": 6,
            "at_time": "03:00",
            "keep": 7,
            "mode": snapshot_plan(domain).best or "internal",
            "enabled": True,
        }
        return _form(request, domain, None, ScheduleForm(initial=initial, domain=domain))
    form = ScheduleForm(request.POST, domain=domain)
    if form.is_valid():
        try:
            add_schedule(person(request), domain, form.cleaned_data)
        except NotPossible as error:
            form.add_error(None, str(error))
        else:
            return done(request, _("%(name)s: schedule added") % {"name": domain.name}, back=_back(domain))
    return _form(request, domain, None, form)


@require_http_methods(["GET", "HEAD", "POST"])
def edit_snapshot_schedule(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = _schedule(request, pk, "change snapshot schedule")
    domain = schedule.domain
    if request.method != "POST":
        initial = {name: getattr(schedule, name) for name in ScheduleForm.base_fields if name != "stem"}
        initial["stem"] = schedule.prefix
        return _form(request, domain, schedule, ScheduleForm(initial=initial, domain=domain))
    form = ScheduleForm(request.POST, domain=domain)
    if form.is_valid():
        try:
            change_schedule(person(request), schedule, form.cleaned_data)
        except NotPossible as error:
            form.add_error(None, str(error))
        else:
            return done(request, _("%(name)s: schedule changed") % {"name": domain.name}, back=_back(domain))
    return _form(request, domain, schedule, form)


@require_POST
def remove_snapshot_schedule(request: HttpRequest, pk: int) -> HttpResponse:
    """Its snapshots stay."""
    schedule = _schedule(request, pk, "remove snapshot schedule")
    domain = schedule.domain
    remove_schedule(person(request), schedule)
    return done(request, _("%(name)s: schedule removed") % {"name": domain.name}, back=_back(domain))


@require_POST
def take_over_snapshot_schedule(request: HttpRequest, pk: int) -> HttpResponse:
    """From now on it runs by the right of who asks."""
    schedule = _schedule(request, pk, "take over snapshot schedule")
    domain = schedule.domain
    take_over_schedule(person(request), schedule)
    return done(request, _("%(name)s: the schedule is yours") % {"name": domain.name}, back=_back(domain))


def schedule_lines(domain: Domain) -> list[dict[str, Any]]:
    """Each schedule with what it does in words, and how many snapshots it has."""
    schedules = domain.snapshot_schedules.annotate(own_count=Count("notes")).select_related("created_by")
    return [
        {
            "schedule": schedule,
            "when": when_text(schedule),
            "mode": MODES.get(schedule.mode, schedule.mode),
            "why_none": why_owner_may_not(schedule),
        }
        for schedule in schedules
    ]


def when_text(schedule: SnapshotSchedule) -> str:
    """ "every 6 hours", "every day at 03:00 (UTC)"."""
    at = f"{schedule.at_time:%H:%M}"
    if schedule.frequency == HOURS:
        text = ngettext("every hour", "every %(count)d hours", schedule.every_hours)
        return text % {"count": schedule.every_hours} if schedule.every_hours > 1 else text
    if schedule.frequency == WEEKLY:
        words = {"day": WEEKDAYS[schedule.weekday], "time": at, "zone": settings.TIME_ZONE}
        return _("every %(day)s at %(time)s (%(zone)s)") % words
    return _("every day at %(time)s (%(zone)s)") % {"time": at, "zone": settings.TIME_ZONE}


def _form(request: HttpRequest, domain: Domain, schedule: SnapshotSchedule | None, form: ScheduleForm) -> HttpResponse:
    plan = snapshot_plan(domain)
    chosen = str(form["mode"].value() or "")
    context = {
        "domain": domain,
        "schedule": schedule,
        "form": form,
        "zone": settings.TIME_ZONE,
        "mode_reason": plan.why_not.get(chosen, ""),
        "url": reverse("edit_snapshot_schedule", args=[schedule.pk])
        if schedule
        else reverse("add_snapshot_schedule", args=[domain.uuid]),
    }
    template = "domains/snapshots/schedule.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


def _schedule(request: HttpRequest, pk: int, what: str) -> SnapshotSchedule:
    """Raises: Http404 for strangers, errors.NotPermitted."""
    seen = Domain.objects.visible_to(request.user)
    schedules = SnapshotSchedule.objects.filter(domain__in=seen).select_related("domain__hypervisor")
    schedule = get_object_or_404(schedules, pk=pk)
    require(request.user, Privilege.DOMAIN_SNAPSHOT, schedule.domain, what=what)
    return schedule


def _back(domain: Domain) -> str:
    return reverse("domain_snapshots", args=[domain.uuid])


urlpatterns = [
    path("vms/<uuid:uuid>/snapshots/schedule/", add_snapshot_schedule, name="add_snapshot_schedule"),
    path("snapshot-schedules/<row:pk>/", edit_snapshot_schedule, name="edit_snapshot_schedule"),
    path("snapshot-schedules/<row:pk>/take-over/", take_over_snapshot_schedule, name="take_over_snapshot_schedule"),
    path("snapshot-schedules/<row:pk>/remove/", remove_snapshot_schedule, name="remove_snapshot_schedule"),
]
