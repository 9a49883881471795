"""The memory balloon of a domain, https://libvirt.org/formatdomain.html#memory-balloon-device."""

from dataclasses import dataclass

from hypervisors.libvirtxml.documents import attribute_at, child_at, number, parse_document


@dataclass(frozen=True, kw_only=True)
class ParsedMemoryBalloon:
    """`period_seconds` is how often its driver tells what the guest uses; 0: once, when it is loaded."""

    model: str
    period_seconds: int

    @property
    def can_tell(self) -> bool:
        return self.model not in ("", "none")


def parse_memory_balloon(xml: str) -> ParsedMemoryBalloon:
    """An empty model for a domain without one. Raises: ValueError when it is not well-formed."""
    balloon = child_at(parse_document(xml), "devices/memballoon")
    return ParsedMemoryBalloon(
        model=attribute_at(balloon, "", "model"),
        period_seconds=number(attribute_at(balloon, "stats", "period")) or 0,
    )
