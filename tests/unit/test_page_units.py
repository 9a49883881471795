"""What templates say of numbers, states and icons."""

from datetime import timedelta

import pytest
from django.utils import timezone

from hypervisors.models import Operation
from hypervisors.operations.engine.registry import operation_types
from hypervisors.states import AdminState, DomainState, HypervisorStatus, OperationState
from hypervisors.templatetags import icons, units


@pytest.mark.parametrize(
    ("kib", "text"),
    [(0, "0 KiB"), (512, "512 KiB"), (1024, "1 MiB"), (1536, "1.5 MiB"), (3 * 2**19, "1.5 GiB"), (2**40, "1 PiB")],
)
def test_memory_is_said_in_binary_units(kib: int, text: str) -> None:
    assert units.memory(kib) == text


def test_every_state_and_kind_has_words() -> None:
    for state in (*DomainState, *HypervisorStatus, *AdminState, *OperationState):
        assert state in units.STATE_WORDS, state
    for kind in operation_types():
        assert units.kind_word(kind) != kind


def test_the_pages_words_are_data_and_not_script() -> None:
    assert units.page_words().startswith('<script id="words" type="application/json">')


def test_how_long_an_operation_took() -> None:
    begun = timezone.now()
    for seconds, text in ((0.44, "0.4 s"), (12.2, "12 s"), (125, "2 min 05 s")):
        operation = Operation(requested_at=begun, started_at=begun, ended_at=begun + timedelta(seconds=seconds))
        assert units.took(operation) == text


def test_icons_are_drawings_or_have_a_label() -> None:
    assert 'aria-hidden="true"' in icons.icon("player-play")
    assert 'role="img" aria-label="&lt;b&gt;"' in icons.icon("player-play", label="<b>")


@pytest.mark.parametrize("name", ["no-such-icon", "../../../etc/passwd", ""])
def test_unknown_icons_are_errors(name: str) -> None:
    with pytest.raises(LookupError):
        icons.icon(name)
