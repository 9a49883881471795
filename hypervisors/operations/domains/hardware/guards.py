"""Who may change what keeps a machine's network cards apart from others: whoever manages its host's networks.

Asked of both definitions, as either may be the one that an operator has assigned a filter in.
"""

from collections.abc import Sequence

from django.db import models

from hypervisors.libvirtxml.hardware.card_guards import Card, are_guards_kept, guarded_cards, guards_of
from hypervisors.libvirtxml.hardware.devices import Device
from hypervisors.models import Domain
from hypervisors.operations.domains.hardware.checks import definition_of
from hypervisors.privileges import Privilege

Needs = Sequence[tuple[Privilege, models.Model | None]]


def needs_to_add(domain: Domain, card: Device) -> Needs:
    """Raises: errors.NotPossible, ValueError."""
    return _needs(domain, all(are_guards_kept(side, [*side, _as_new(card)]) for side in _sides(domain)))


def needs_to_change(domain: Domain, before: Device, after: Device, *, is_whole: bool) -> Needs:
    """`is_whole`: what runs becomes as `after` is, too, and not only what was changed of it."""
    sides = _sides(domain) if is_whole else _sides(domain)[:1]
    changed = (after.id, guards_of(after))
    return _needs(domain, all(are_guards_kept(side, [*_without(side, before.id), changed]) for side in sides))


def needs_to_remove(domain: Domain, card: Device) -> Needs:
    return _needs(domain, all(are_guards_kept(side, _without(side, card.id)) for side in _sides(domain)))


def needs_to_become(domain: Domain, before_xml: str, after_xml: str) -> Needs:
    """To have the one definition in place of the other, which may be "". Raises: ValueError."""
    return _needs(domain, are_guards_kept(guarded_cards(before_xml), guarded_cards(after_xml)))


def _needs(domain: Domain, is_kept: bool) -> Needs:
    return [] if is_kept else [(Privilege.NETWORK_MANAGE, domain.hypervisor)]


def _sides(domain: Domain) -> list[list[Card]]:
    """The cards as they are stored, and as they run. Raises: errors.NotPossible, ValueError."""
    definition = definition_of(domain)
    return [guarded_cards(xml) for xml in (definition.inactive_xml, definition.live_xml) if xml]


def _as_new(card: Device) -> Card:
    # Nobody's address yet, whatever is typed for it.
    return "", guards_of(card)


def _without(side: Sequence[Card], device_id: str) -> list[Card]:
    return [card for card in side if card[0] != device_id]
