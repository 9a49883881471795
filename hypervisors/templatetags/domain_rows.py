"""The rows of the list of virtual machines: most of the page and of its time, so they are formatted, not a template."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from hypervisors.states import ACTIVE_DOMAIN_STATES
from hypervisors.templatetags.units import domain_state
from hypervisors.web.naming import visible

register = template.Library()

_ROW = (
    '<tr id="vm-{uuid}" data-uuid="{uuid}" data-host="{host_id}" data-href>'
    '<td class="c-check"><input type="checkbox" aria-label="{shown}"></td>'
    '<td class="c-state">{state}</td>'
    '<td class="c-name"><a href="{domains}{uuid}/"><vp-text field="name">{name}</vp-text></a>'
    '{template}<vp-text class="vp-title" field="title">{title}</vp-text>'
    '<vp-text class="vp-trouble" field="trouble">{trouble}</vp-text><vp-busy{operation}></vp-busy></td>'
    '<td class="c-host{stale}"><vp-text field="hypervisor_name">{host}</vp-text></td>'
    '<td class="c-vcpu"><vp-text field="vcpu_count">{vcpus}</vp-text></td>'
    '<td class="c-cpu"><vp-spark{off}></vp-spark></td>'
    '<td class="c-memory"><vp-meter total="{memory_kib}"{off}></vp-meter></td>'
    '<td class="c-io"><vp-rate of="disk"{off}></vp-rate></td>'
    '<td class="c-io"><vp-rate of="net"{off}></vp-rate></td>'
    '<td class="c-menu"><details class="vp-menu vp-menu-end" data-src="{domains}{uuid}/menu/">'
    '<summary class="vp-icon-button" aria-label="{actions}: {shown}">⋯</summary>'
    '<div class="vp-menu-items"></div></details></td>'
    "</tr>\n"
)


@register.simple_tag
def domain_rows(domains: Iterable[Any]) -> SafeString:
    """A table row for each ListedDomain."""
    same = {"actions": escape(_("Actions")), "domains": reverse("domains")}
    language = get_language()
    # Every value is escaped by hand: format_html() takes three times as long.
    return mark_safe("".join(_ROW.format(**_values(domain, language), **same) for domain in domains))  # noqa: S308


def _values(domain: Any, language: str | None) -> dict[str, Any]:
    return {
        "uuid": str(domain.uuid),
        "name": escape(domain.name),
        "shown": escape(visible(domain.name)),
        "template": f' <span class="badge">{escape(_("template"))}</span>' if domain.is_template else "",
        "title": escape(domain.title),
        "trouble": escape(domain.trouble) if domain.trouble else "",
        "state": _state(domain.shown_state, domain.state_reason, domain.has_managed_save, language),
        "operation": _busy(domain.operation) if domain.operation else "",
        "stale": "" if domain.hypervisor_status == "online" else " is-stale",
        "host_id": domain.hypervisor_id or "",
        "host": escape(domain.hypervisor_name or ""),
        "vcpus": domain.vcpu_count,
        "memory_kib": domain.memory_kib,
        "off": "" if domain.state in ACTIVE_DOMAIN_STATES else " off",
    }


@lru_cache(maxsize=200)
def _state(state: str, reason: str, saved: bool, language: str | None) -> SafeString:
    return domain_state(_State(shown_state=state, state_reason=reason, has_managed_save=saved), in_row=True)


@dataclass(frozen=True, kw_only=True)
class _State:
    """What of a domain is in its state's words; a language is that of the request."""

    shown_state: str
    state_reason: str
    has_managed_save: bool


def _busy(operation: Any) -> SafeString:
    percent = operation.progress.get("percent")
    return format_html(
        ' operation="{}" kind="{}" percent="{}"', operation.pk, operation.kind, "" if percent is None else percent
    )
