"""What waits for the next start: active XML against inactive XML, by what devices are, not by where they stand."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`part` is a device's type key, or the element of the domain. `now` and `then` are empty where nothing is."""

    part: str
    device_id: str = ""
    name: str = ""
    now: str = ""
    then: str = ""


def pending_differences(live_xml: str, inactive_xml: str) -> tuple[Difference, ...]:
    return ()


def lost_parts(typed_xml: str, kept_xml: str) -> tuple[str, ...]:
    """What libvirt dropped without a word, a line each."""
    return ()
