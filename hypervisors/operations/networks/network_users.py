"""Which virtual machines are plugged into a network: from rows, for pages and requests; a worker asks the host."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisors.libvirtxml.domain_references import text_in_xml
from hypervisors.libvirtxml.network_references import NetworkCard, cards_on
from hypervisors.models import Domain, DomainDefinition, Network

_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class NetworkUser:
    """A machine with its cards on the network; those of what runs, else of what would."""

    domain: Domain
    cards: tuple[NetworkCard, ...]
    is_active: bool


def network_users(network: Network) -> list[NetworkUser]:
    """By name; one query."""
    word = text_in_xml(network.name)
    mentions = Q(live_xml__contains=word) | Q(inactive_xml__contains=word)
    rows = DomainDefinition.objects.filter(mentions, domain__vanished_at=None, domain__hypervisor=network.hypervisor_id)
    rows = rows.select_related("domain__hypervisor").only(*_READ).order_by("domain__natural_name", "domain__name")
    return [user for row in rows if (user := _user(row, network)) is not None]


def users_text(names: Iterable[str]) -> str:
    """ "“web1”, “db” and 3 more"; "" for none."""
    texts = [_("“%s”") % name for name in names]
    shown, more = ", ".join(texts[:_MOST_NAMED]), len(texts) - _MOST_NAMED
    if more <= 0:
        return shown
    return ngettext("%(shown)s and %(more)d more", "%(shown)s and %(more)d more", more) % {"shown": shown, "more": more}


def why_used(names: Iterable[str]) -> str:
    text = users_text(names)
    return _("Virtual machines run with a card on it: %(users)s.") % {"users": text} if text else ""


def active_names(users: Iterable[NetworkUser]) -> list[str]:
    return [user.domain.name for user in users if user.is_active]


def _user(row: DomainDefinition, network: Network) -> NetworkUser | None:
    live, inactive = cards_on(row.live_xml, network.name), cards_on(row.inactive_xml, network.name)
    if not live and not inactive:
        return None
    return NetworkUser(domain=row.domain, cards=live or inactive, is_active=row.domain.is_active and bool(live))


_READ = (
    *("live_xml", "inactive_xml", "domain__uuid", "domain__name", "domain__natural_name", "domain__title"),
    *("domain__state", "domain__vanished_at", "domain__has_managed_save", "domain__hypervisor__name"),
)
