"""What a host shows of itself, in a line and on its page: formatted, since the Hosts page has hundreds of them."""

from collections.abc import Iterable
from functools import lru_cache
from html import escape
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisors.models import Hypervisor
from hypervisors.states import AdminState
from hypervisors.templatetags.icons import icon
from hypervisors.templatetags.units import epoch, memory, state_of_hypervisor

register = template.Library()

_ROW = (
    '<tr data-href="{url}" data-host="{pk}">'
    '<td class="vp-stack-title"><a href="{url}">{name}</a>{hostname}</td>'
    '<td data-label="{status_label}">{seen}</td>'
    '<td data-label="{cpu_label}">{cpu}</td>'
    '<td data-label="{memory_label}">{memory}</td>'
    '<td data-label="{running_label}"><a href="{domains_url}">{running}</a></td>'
    '<td data-label="{virtualisation_label}">{virtualisation}</td>'
    '<td data-label="libvirt / QEMU" class="vp-nowrap">{versions}</td>'
    "</tr>\n"
)
_NOTHING = '<span class="vp-muted">–</span>'


@register.simple_tag
def host_rows(hypervisors: Iterable[Any]) -> SafeString:
    """A table row for each, as `hypervisor_rows` gives them."""
    labels = {
        "status_label": escape(_("Status")),
        "cpu_label": escape(_("CPU")),
        "memory_label": escape(_("Memory")),
        "running_label": escape(_("VMs running")),
        "virtualisation_label": escape(_("Virtualisation")),
    }
    # Each value is escaped where it is put in; format_html() takes three times as long.
    return mark_safe("".join(_ROW.format(**_values(row), **labels) for row in hypervisors))  # noqa: S308


@register.filter
def breakable(uri: str) -> SafeString:
    """A URI that goes on in the next line after a slash, and not within a word."""
    return mark_safe("/<wbr>".join(escape(part) for part in uri.split("/")))  # noqa: S308


@register.simple_tag
def seen(hypervisor: Hypervisor) -> SafeString:
    """Status, and when it was last seen or since when and why it is away."""
    parts: list[str] = [state_of_hypervisor(hypervisor, reason=hypervisor.status_reason)]
    if hypervisor.admin_state != AdminState.ENABLED:
        since = render_to_string("hypervisors/admin_state_since.html", {"hypervisor": hypervisor})
        parts.append(f'<span class="vp-sub vp-clamp">{since}</span>')
    if not hypervisor.is_disabled:
        parts += _last_seen(hypervisor)
    return mark_safe("\n".join(parts))  # noqa: S308


@register.simple_tag
def cpu_load(hypervisor: Hypervisor) -> SafeString:
    """The host's CPU load as a bar; how many CPUs it has while that is not known."""
    count = hypervisor.cpu_count
    if hypervisor.cpu_percent is None or not hypervisor.is_online:
        words = ngettext("%(count)s CPU", "%(count)s CPUs", count) % {"count": count} if count else "–"
        return _muted(words)
    of = ngettext("of %(count)s CPU", "of %(count)s CPUs", count) % {"count": count} if count else ""
    bar = f'max="100" value="{hypervisor.cpu_percent:.1f}" aria-label="{escape(_("CPU load"))}"'
    return _load(hypervisor, 'field="cpu_percent"', bar, f"{hypervisor.cpu_percent:.0f} %", of)


@register.simple_tag
def memory_load(hypervisor: Hypervisor) -> SafeString:
    """The host's used memory as a bar; how much it has while that is not known."""
    used, total = hypervisor.memory_used_kib, hypervisor.memory_kib
    if used is None or not total or not hypervisor.is_online:
        return _muted(memory(total) or "–")
    of = _("of %(total)s") % {"total": memory(total)}
    bar = f'max="{total}" value="{used}" aria-label="{escape(_("Memory used"))}"'
    return _load(hypervisor, 'field="memory_used_kib" unit="memory"', bar, memory(used), of)


@register.simple_tag
def virtualisation(facts: Any) -> SafeString:
    """KVM, or plain emulation: of a hypervisor, or of anything with `kvm_available`."""
    if facts.kvm_available is None:
        text = _NOTHING
    elif facts.kvm_available:
        text = f'<span class="vp-nowrap">{icon("bolt")} {escape(_("KVM"))}</span>'
    else:
        title = escape(_("No KVM on this host: guests run in plain emulation, many times slower."))
        words = escape(_("Plain emulation"))
        text = f'<span class="vp-warned" title="{title}">{icon("alert-triangle")} {words}</span>'
    return mark_safe(text)  # noqa: S308


def _values(row: Any) -> dict[str, Any]:
    url, running, total = row.get_absolute_url(), _count(row.running_count), _count(row.domain_count)
    hostname = f'<span class="vp-sub">{escape(row.hostname)}</span>' if row.hostname not in ("", row.name) else ""
    versions = f"{escape(row.libvirt_version)} / {escape(row.qemu_version or '–')}" if row.libvirt_version else _NOTHING
    return {
        "url": url,
        "pk": row.pk,
        "name": escape(row.name),
        "hostname": hostname,
        "seen": seen(row),
        "cpu": cpu_load(row),
        "memory": memory_load(row),
        "domains_url": _domains_url(row.pk),
        "running": escape(_("%(running)s of %(total)s") % {"running": running, "total": total}),
        "virtualisation": virtualisation(row),
        "versions": versions,
    }


@lru_cache(maxsize=1000)
def _domains_url(pk: int) -> str:
    return reverse("hypervisor_domains", args=[pk])


def _count(number: int) -> str:
    return str(number) if number < 1000 else intcomma(number)


def _last_seen(hypervisor: Hypervisor) -> list[str]:
    ago = escape(_("ago"))
    at = f'<vp-ago at="{epoch(hypervisor.seen_at)}" follow="hypervisor:{hypervisor.pk}" field="seen_at"></vp-ago>'
    if hypervisor.is_online:
        return [f'<span class="vp-sub">{escape(_("seen"))} {at} {ago}</span>']
    if hypervisor.status == "connecting" and not hypervisor.seen_at:
        since = epoch(hypervisor.status_since)
        return [f'<span class="vp-sub">{escape(_("for"))} <vp-ago at="{since}"></vp-ago></span>']
    words = f"{escape(_('last seen'))} {at} {ago}" if hypervisor.seen_at else escape(_("never seen"))
    parts = [f'<span class="vp-sub">{words}</span>']
    if hypervisor.status_reason:
        reason = escape(hypervisor.status_reason)
        parts.append(f'<span class="vp-sub vp-clamp" title="{reason}">{reason}</span>')
    return parts


def _load(hypervisor: Hypervisor, field: str, bar: str, words: str, of: str) -> SafeString:
    whole = f' <span class="vp-muted">{escape(of)}</span>' if of else ""
    return mark_safe(  # noqa: S308
        f'<vp-load of="hypervisor:{hypervisor.pk}" {field}><progress {bar}></progress>'
        f'<span class="vp-load-line"><span class="vp-load-text">{escape(words)}</span>{whole}</span></vp-load>'
    )


def _muted(words: str) -> SafeString:
    return mark_safe(f'<span class="vp-muted">{escape(words)}</span>')  # noqa: S308
