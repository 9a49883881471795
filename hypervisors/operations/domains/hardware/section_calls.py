"""The calls that change a section of a running machine: by section, for what somebody changed in its form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains import live_settings
from hypervisors.libvirtxml.hardware.fields import Value

Changes = Mapping[str, Value]
_Call = Callable[[Connection, UUID], None]


@dataclass(frozen=True, kw_only=True)
class LiveCall:
    """One call; `fields` are those that it sets. Taking it back is the same call with the values from before."""

    fields: frozenset[str]
    call: _Call


def live_calls(section: str, before: Changes, after: Changes, changed: frozenset[str]) -> list[LiveCall]:
    """What makes the running machine as `after` says, for the fields that changed. Raises: ValueError."""
    make = _SECTIONS.get(section)
    return [] if make is None or not changed else make(before, after, changed)


def _general(before: Changes, after: Changes, changed: frozenset[str]) -> list[LiveCall]:
    title = str(after.get("title", "")) if "title" in changed else None
    description = str(after.get("description", "")) if "description" in changed else None
    return [
        LiveCall(
            fields=changed,
            call=lambda connection, uuid: live_settings.set_text(
                connection, uuid, title=title, description=description
            ),
        )
    ]


_SECTIONS: dict[str, Callable[[Changes, Changes, frozenset[str]], list[LiveCall]]] = {"general": _general}
