"""The audit: who did what to what, from where, with what outcome, newest first; for those who may see it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hypervisors.access import require
from hypervisors.models import AuditRecord
from hypervisors.models.access import Outcome
from hypervisors.operations.engine.registry import kind_label
from hypervisors.privileges import Privilege
from hypervisors.templatetags.units import memory, size
from hypervisors.web.boosting import wants_part
from hypervisors.web.permissions import needs, person

PAGE_SIZE = 50
_MOST_CHARACTERS = 200
# Amounts are recorded as their parameters are, in these units.
_UNITS = {"_bytes": size, "_kib": memory}
_CANCEL = "cancel "
_OPERATION = re.compile(r"operation ([0-9a-f-]{36})")
# Of the object that a role is on: its name is enough for people.
_FOR_PROGRAMS = {"type", "key"}


@dataclass(frozen=True, kw_only=True)
class AuditQuery:
    """What the page is limited to; empty values do not limit."""

    text: str = ""
    actor: str = ""
    action: str = ""
    outcome: str = ""
    since: date | None = None
    until: date | None = None

    @classmethod
    def from_url(cls, values: Mapping[str, str]) -> "AuditQuery":
        text, actor, action = (
            values.get(name, "").replace("\x00", "").strip()[:_MOST_CHARACTERS] for name in ("q", "actor", "action")
        )
        outcome = values.get("outcome", "")
        return cls(
            text=text,
            actor=actor,
            action=action,
            outcome=outcome if outcome in Outcome.values else "",
            since=_date(values.get("since", "")),
            until=_date(values.get("until", "")),
        )

    @property
    def is_filtered(self) -> bool:
        return self != AuditQuery()

    def url(self, **changed: str) -> str:
        """The query string, without what is empty."""
        values = {
            "q": self.text,
            "actor": self.actor,
            "action": self.action,
            "outcome": self.outcome,
            "since": self.since.isoformat() if self.since else "",
            "until": self.until.isoformat() if self.until else "",
        }
        return urlencode({name: value for name, value in (values | changed).items() if value})

    def matching(self) -> "QuerySet[AuditRecord]":
        found = AuditRecord.objects.select_related(None)
        if self.text:
            found = found.filter(_matches(self.text))
        if self.actor:
            found = found.filter(actor_name__iexact=self.actor)
        if self.action:
            found = found.filter(action=self.action)
        if self.outcome:
            found = found.filter(outcome=self.outcome)
        if self.since:
            found = found.filter(at__gte=_midnight(self.since))
        if self.until:
            found = found.filter(at__lt=_midnight(self.until + timedelta(days=1)))
        return found


@never_cache
@require_safe
@needs(Privilege.AUDIT_VIEW)
def audit(request: HttpRequest) -> HttpResponse:
    """`?q=`, `?actor=`, `?action=`, `?outcome=`, `?since=` and `?until=` (days), `?page=`."""
    require(person(request), Privilege.AUDIT_VIEW, None, what="see the audit")
    query = AuditQuery.from_url(request.GET)
    page = Paginator(query.matching(), PAGE_SIZE).get_page(request.GET.get("page"))
    records = list(page.object_list)
    context = {
        "query": query,
        "page": page,
        "records": [
            {
                "row": row,
                "action": action_label(row.action),
                "url": _subject_url(row),
                "operation_url": _operation_url(row),
                "is_about_oneself": row.subject_type == "person" and row.subject_name == row.actor_name,
                "changes": changes(row),
            }
            for row in records
        ],
        "total": page.paginator.count,
        "actions": _actions(),
        "outcomes": [
            {
                "value": value,
                "word": word,
                "url": "?" + query.url(outcome="" if query.outcome == value else value),
                "is_chosen": query.outcome == value,
            }
            for value, word in Outcome.choices
        ],
        "page_query": query.url(),
    }
    template = "people/audit.html#list" if wants_part(request) else "people/audit.html"
    response = render(request, template, context)
    if wants_part(request):
        response.headers["HX-Replace-Url"] = f"{reverse('audit')}?{query.url()}"
    return response


def action_label(action: str) -> str:
    """An operation by its kind's label; what else was done is recorded in words."""
    if action.startswith(_CANCEL):
        return _("cancel: %(operation)s") % {"operation": action_label(action.removeprefix(_CANCEL))}
    return kind_label(action).rstrip("…").replace("_", " ")


def _actions() -> list[tuple[str, str]]:
    """Each action that is recorded with its label, by label."""
    recorded = AuditRecord.objects.order_by("action").values_list("action", flat=True).distinct()
    return sorted(((action, action_label(action)) for action in recorded), key=lambda one: one[1].casefold())


def changes(record: AuditRecord) -> list[dict[str, Any]]:
    """Each name with what it was and what it is, by name; what only programs need is left out."""
    before, after = (
        {name: value for name, value in (values or {}).items() if name not in _FOR_PROGRAMS}
        for values in (record.before, record.after)
    )
    entries = [
        {
            "name": _label(name),
            "before": _text(name, before.get(name)),
            "after": _text(name, after.get(name)),
            "is_same": name in before and before[name] == after.get(name),
        }
        for name in sorted({*before, *after})
    ]
    return [entry for entry in entries if entry["before"] or entry["after"]]


def _label(name: str) -> str:
    for unit in _UNITS:
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def _text(name: str, value: Any) -> str:
    match value:
        case None | "" | [] | {}:
            return ""
        case bool():
            return _("yes") if value else _("no")
        case list():
            return ", ".join(_text(name, item) for item in value)
        case int() | float():
            return next((words(value) for unit, words in _UNITS.items() if name.endswith(unit)), str(value))
        case _:
            return str(value)


def _matches(text: str) -> Q:
    columns = ("actor_name", "action", "subject_name", "subject_key", "detail", "address")
    found = Q()
    for column in columns:
        found |= Q(**{f"{column}__icontains": text})
    return found | Q(action__icontains=text.replace(" ", "_"))


def _operation_url(row: AuditRecord) -> str:
    found = _OPERATION.fullmatch(row.detail)
    return f"{reverse('operations')}?{urlencode({'only': found[1]})}" if found else ""


def _subject_url(row: AuditRecord) -> str:
    """Where the subject is, if it still is; pages that are gone answer 404."""
    views = {"domain": "domain", "hypervisor": "hypervisor", "hypervisor_pool": "hypervisor_pool", "person": "person"}
    view = views.get(row.subject_type)
    return reverse(view, args=[row.subject_key]) if view and row.subject_key else ""


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


urlpatterns = [path("audit/", audit, name="audit")]
