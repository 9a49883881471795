"""Numbers, times and states as people read them; static/elements/units.js says the same in the browser."""

from datetime import datetime
from functools import cache
from html import escape
from typing import Any

from django import template
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.operations.engine.messages import operation_url as url_of_operation
from hypervisors.operations.engine.registry import find_operation_type, kind_label, operation_types
from hypervisors.privileges import Privilege

register = template.Library()

_BINARY = ("KiB", "MiB", "GiB", "TiB", "PiB")

STATE_WORDS = {
    "nostate": gettext_lazy("No state"),
    "running": gettext_lazy("Running"),
    "blocked": gettext_lazy("Blocked"),
    "paused": gettext_lazy("Paused"),
    "shutdown": gettext_lazy("Shutting down"),
    "shutoff": gettext_lazy("Off"),
    "saved": gettext_lazy("Saved"),
    "crashed": gettext_lazy("Crashed"),
    "pmsuspended": gettext_lazy("Suspended"),
    "vanished": gettext_lazy("Gone"),
    "connecting": gettext_lazy("Connecting"),
    "online": gettext_lazy("Online"),
    "stale": gettext_lazy("Not answering"),
    "offline": gettext_lazy("Offline"),
    "enabled": gettext_lazy("Enabled"),
    "maintenance": gettext_lazy("Maintenance"),
    "disabled": gettext_lazy("Disabled"),
    "queued": gettext_lazy("Queued"),
    "succeeded": gettext_lazy("Done"),
    "failed": gettext_lazy("Failed"),
    "cancelled": gettext_lazy("Cancelled"),
    "interrupted": gettext_lazy("Interrupted"),
}


@register.filter
def memory(kib: float | None) -> str:
    """KiB as "1.5 GiB"."""
    return "" if kib is None else _scaled(float(kib))


@register.filter
def size(count_bytes: float | None) -> str:
    """Bytes as "1.5 GiB"."""
    return "" if count_bytes is None else _scaled(float(count_bytes) / 1024)


@register.filter
def local_time(moment: datetime | None, to: str = "second") -> SafeString | str:
    """A moment to the "second" or "minute", which elements/local-times.js puts into the viewer's time zone."""
    if moment is None:
        return ""
    here = timezone.localtime(moment)
    text = here.strftime("%Y-%m-%d %H:%M:%S" if to == "second" else "%Y-%m-%d %H:%M")
    return format_html(
        '<time datetime="{}" data-to="{}" title="{}">{}</time>', here.isoformat(), to, here.tzname(), text
    )


@register.filter
def epoch(moment: datetime | None) -> int:
    """Seconds since 1970, for <vp-ago at=…>; 0 for none."""
    return int(moment.timestamp()) if moment else 0


@register.filter
def state_word(state: str) -> str:
    return str(STATE_WORDS.get(state, state))


@register.filter
def kind_word(kind: str) -> str:
    """What a kind of operation is called."""
    return kind_label(kind)


@register.filter
def operation_title(operation: Any) -> str:
    """What one operation is called: a bulk request by what it asks of each."""
    found = find_operation_type(operation.kind)
    return found.title(operation) if found else str(operation.kind)


@register.filter
def operation_url(operation: Any) -> str:
    """The page of what it is about, or makes; "" where there is none."""
    return url_of_operation(operation)


@register.filter
def operation_queue(operation: Any) -> str:
    """The queue whose workers do it."""
    found = find_operation_type(operation.kind)
    return found.queue if found else ""


@register.filter
def can_be_cancelled(operation: Any) -> bool:
    """Whether a cancel button makes sense: what waits can always be, what runs if its kind can."""
    found = find_operation_type(operation.kind)
    waits = operation.state == "queued" or bool(found and found.can_be_cancelled)
    return not operation.is_finished and not operation.cancel_requested_at and waits


@register.filter
def lookup(table: Any, key: Any) -> Any:
    """The value of a table for a key that is a variable; empty when it has none."""
    return table.get(key, "")


@register.simple_tag
def domain_state(domain: Any, *, in_row: bool = False) -> SafeString:
    """A virtual machine's state, which stays true: see static/elements/vp-state.js. `in_row`: its row has the UUID."""
    state = domain.shown_state
    return format_html(
        '<vp-state{}{} state="{}" title="{}"><span class="vp-state-word">{}</span></vp-state>',
        "" if in_row else format_html(' domain="{}"', domain.uuid),
        mark_safe(" saved") if domain.has_managed_save else "",
        state,
        domain.state_reason,
        STATE_WORDS.get(state, state),
    )


@register.simple_tag(takes_context=True)
def hypervisor_state(context: Context, hypervisor: Any) -> SafeString:
    """What a host's line says of it, which stays true: its status, or people's will where that matters more.

    The reason, which names addresses, is for those who may see the host itself.
    """
    request = context.get("request")
    may_see = request is not None and can(request.user, Privilege.HYPERVISOR_VIEW, hypervisor)
    return state_of_hypervisor(hypervisor, reason=hypervisor.status_reason if may_see else "")


def state_of_hypervisor(hypervisor: Any, *, reason: str) -> SafeString:
    state = hypervisor.shown_state
    return mark_safe(  # noqa: S308
        f'<vp-state hypervisor="{hypervisor.pk}" state="{state}" status="{hypervisor.status}"'
        f' admin="{hypervisor.admin_state}" title="{escape(reason)}">'
        f'<span class="vp-state-word">{escape(state_word(state))}</span></vp-state>'
    )


@register.simple_tag
def page_words() -> SafeString:
    """The words that the page's elements use, as a JSON block with the id "words"."""
    return _page_words(get_language())


@cache
def _page_words(language: str | None) -> SafeString:
    words = {f"state.{name}": str(word) for name, word in STATE_WORDS.items()}
    words |= {f"kind.{kind}": str(found.label) for kind, found in operation_types().items()}
    words |= {
        "started": _("Started: %s"),
        "failed": _("Failed: %s"),
        "asked": _("Asked for: %s"),
        "cancel": _("Cancel"),
        "cancelling": _("Cancelling…"),
        "close": _("Close"),
        "left": _("%s left"),
        "unsent": _("The server did not answer"),
        "and_more": _("and %s more"),
        "children_done": _("%s of %s done"),
        "children_failed": _("%s failed"),
        "undoing": _("Undoing: %s"),
        "xml_unclosed": _("This element has no end tag."),
        "xml_mismatched": _("This end tag does not belong to the element that is open."),
        "xml_broken": _("This is not well-formed XML."),
        "chart_summary": _("In the last hour at least %s, at most %s, on average %s."),
        "chart_empty": _("No values in the last hour."),
        "no_tasks": _("Nothing has been asked for yet"),
        "silent.redis": _(
            "Redis does not answer since %s: pages look for changes every 10 s, and until it does nothing new is begun "
            "and no console opens."
        ),
        "silent.operations": _("No worker answers since %s: what is asked for waits until one does."),
        "silent.migrations": _("No worker for moves answers since %s: they wait until one does."),
        "silent.storage": _("No worker for storage answers since %s: what takes long there waits until one does."),
        "silent.console": _(
            "The console proxy does not answer since %s: screens stand still, and none opens until it does."
        ),
        "silent.transfer": _(
            "The transfer process does not answer since %s: uploads and downloads stand still until it does."
        ),
        "waits_for_worker": _("Waits: no worker answers since %s"),
        "not_reported": _("not reported"),
        "why_not_reported": _("Its balloon driver does not tell what the guest uses"),
    }
    return json_script(words, "words")


def _scaled(value: float) -> str:
    unit = 0
    while value >= 1024 and unit < len(_BINARY) - 1:
        value /= 1024
        unit += 1
    text = f"{value:.1f}" if value < 10 and value % 1 else f"{value:.0f}"
    return f"{text.removesuffix('.0')} {_BINARY[unit]}"


@register.filter
def took(operation: Any) -> str:
    """How long an ended operation ran: "0.4 s", "2 min 05 s"."""
    seconds = (operation.ended_at - (operation.started_at or operation.requested_at)).total_seconds()
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


@register.filter
def free_memory(hypervisor: Any) -> str:
    """What a host has left of its memory."""
    return memory(max(0, hypervisor.memory_kib - hypervisor.memory_used_kib))


@register.filter
def file_name(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/").rpartition("/")[2] or path
