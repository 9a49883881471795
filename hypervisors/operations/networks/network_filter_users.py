"""Who has a network filter: virtual machines' cards, and other filters that take it in; from rows."""

from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _

from hypervisors.libvirtxml.domain_references import text_in_xml
from hypervisors.libvirtxml.domains import parsed_from_json
from hypervisors.libvirtxml.network_filters import parse_network_filter
from hypervisors.models import Domain, DomainDefinition, NetworkFilter
from hypervisors.operations.networks.network_users import users_text


@dataclass(frozen=True, kw_only=True)
class FilterUsers:
    domains: tuple[Domain, ...] = ()
    filters: tuple[str, ...] = ()


def filter_users(hypervisor_id: int) -> dict[str, FilterUsers]:
    """By the filter's name, of all on the hypervisor; two queries."""
    rows = list(NetworkFilter.objects.filter(hypervisor=hypervisor_id))
    parents: dict[str, list[str]] = {}
    for row in rows:
        for name in _references(row):
            parents.setdefault(name, []).append(row.name)
    domains: dict[str, list[Domain]] = {}
    for definition in _definitions(hypervisor_id, rows):
        found = parsed_from_json(definition.live_parsed).network_filters
        found += parsed_from_json(definition.inactive_parsed).network_filters
        for name in dict.fromkeys(found):
            domains.setdefault(name, []).append(definition.domain)
    return {
        row.name: FilterUsers(
            domains=tuple(domains.get(row.name, ())), filters=tuple(sorted(parents.get(row.name, ())))
        )
        for row in rows
    }


def why_filter_used(users: FilterUsers) -> str:
    if users.domains:
        names = users_text(sorted(domain.name for domain in users.domains))
        return _("Cards of these machines have it: %(names)s.") % {"names": names}
    if users.filters:
        return _("Other filters take it in: %(names)s.") % {"names": users_text(users.filters)}
    return ""


def _references(row: NetworkFilter) -> tuple[str, ...]:
    try:
        return parse_network_filter(row.xml).references
    except ValueError:
        return ()


def _definitions(hypervisor_id: int, rows: list[NetworkFilter]) -> list[DomainDefinition]:
    mentions = Q()
    for row in rows:
        text = text_in_xml(row.name)
        mentions |= Q(live_xml__contains=text) | Q(inactive_xml__contains=text)
    if not rows:
        return []
    found = DomainDefinition.objects.filter(mentions, domain__vanished_at=None, domain__hypervisor=hypervisor_id)
    return list(found.select_related("domain").defer("live_xml", "inactive_xml"))
