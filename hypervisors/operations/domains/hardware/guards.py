"""Who may change what keeps a machine's network cards apart from others: whoever manages its host's networks.

Asked of both definitions, as either may be the one that an operator has assigned a filter in.
"""

from collections.abc import Callable, Sequence

from django.db import models

from hypervisors.libvirtxml.hardware.card_guards import FILTER_FIELDS, Card, are_guards_kept, guarded_cards, guards_of
from hypervisors.libvirtxml.hardware.devices import Device
from hypervisors.models import Domain
from hypervisors.operations.domains.hardware.checks import definition_of
from hypervisors.privileges import Privilege

Needs = Sequence[tuple[Privilege, models.Model | None]]


def needs_to_add(domain: Domain, card: Device) -> Needs:
    """Raises: errors.NotPossible, ValueError."""
    # Nobody's address yet, whatever is typed for it.
    new = ("", guards_of(card))
    return _needs_on_both(domain, lambda cards: [*cards, new])


def needs_to_change(domain: Domain, before: Device, after: Device, *, is_whole: bool) -> Needs:
    """`is_whole`: what runs becomes as `after` is, too, and not only what was changed of it."""
    changed = (after.id, guards_of(after))
    return _needs_on_both(domain, lambda cards: [*_without(cards, before.id), changed], is_live_meant=is_whole)


def needs_to_remove(domain: Domain, card: Device) -> Needs:
    return _needs_on_both(domain, lambda cards: _without(cards, card.id))


def needs_to_become(domain: Domain, before_xml: str, after_xml: str) -> Needs:
    """To have the one definition in place of the other, which may be "". Raises: ValueError."""
    return _needs(domain, are_guards_kept(guarded_cards(before_xml), guarded_cards(after_xml)))


def _needs_on_both(
    domain: Domain, change: Callable[[Sequence[Card]], list[Card]], *, is_live_meant: bool = True
) -> Needs:
    """As it is stored, and as it runs. Raises: errors.NotPossible, ValueError."""
    definition = definition_of(domain)
    stored, live = guarded_cards(definition.inactive_xml), guarded_cards(definition.live_xml)
    is_kept = are_guards_kept(stored, change(stored)) if definition.inactive_xml else True
    if definition.live_xml and (is_live_meant or not definition.inactive_xml):
        is_kept = is_kept and are_guards_kept(_filters_of(live), _filters_of(change(live)))
    return _needs(domain, is_kept)


def _filters_of(cards: Sequence[Card]) -> list[Card]:
    """While it runs a card shows the rest of its network's, too."""
    return [(name, (*guards[:FILTER_FIELDS], *("" for _rest in guards[FILTER_FIELDS:]))) for name, guards in cards]


def _needs(domain: Domain, is_kept: bool) -> Needs:
    return [] if is_kept else [(Privilege.NETWORK_MANAGE, domain.hypervisor)]


def _without(cards: Sequence[Card], device_id: str) -> list[Card]:
    return [card for card in cards if card[0] != device_id]
