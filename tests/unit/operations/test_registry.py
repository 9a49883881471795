"""Every kind of operation says all that pages, requests, workers and the rights need to know of it."""

import pytest

from hypervisors.operations.engine.parents import BULK, SEVERAL
from hypervisors.operations.engine.queues import QUEUES
from hypervisors.operations.engine.registry import find_operation_type, kind_label, operation_types, types_for
from hypervisors.operations.engine.subjects import SUBJECT_TYPES
from hypervisors.operations.engine.types import OperationType
from hypervisors.privileges import Privilege
from hypervisors.templatetags.icons import icon

KINDS = sorted(operation_types())


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_complete(kind: str) -> None:
    found = operation_types()[kind]
    assert str(found.label)
    assert "<svg" in icon(found.icon)
    assert found.queue in QUEUES
    assert found.time_limit_seconds > 0
    assert found.slots_per_hypervisor > 0
    assert found.privilege in Privilege
    assert found.subject_type in {*SUBJECT_TYPES, SEVERAL}
    for method in ("why_not", "run"):
        assert getattr(type(found), method) is not getattr(OperationType, method), method
    assert callable(found.locks)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dangerous_kind_asks_and_says_what_is_lost(kind: str) -> None:
    found = operation_types()[kind]
    if found.is_dangerous:
        assert "%s" in str(found.question)
    if found.question:
        assert str(found.warning)


def test_kinds_that_are_superseded_exist_and_can_be_cancelled() -> None:
    superseded = {kind for found in operation_types().values() for kind in found.supersedes}
    assert "shut_down" in superseded
    assert {kind for kind in superseded if not operation_types()[kind].can_be_cancelled} == set()


def test_kinds_are_in_the_file_of_their_name() -> None:
    for kind, found in operation_types().items():
        assert type(found).__module__.rpartition(".")[2] == kind


def test_two_kinds_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="both of the kind “start”"):

        class Other(OperationType):  # type: ignore[type-arg]
            kind = "start"

    assert type(operation_types()["start"]).__name__ == "Start"


def test_a_kind_of_another_version_is_shown_by_its_name() -> None:
    assert find_operation_type("levitate") is None
    assert kind_label("levitate") == "levitate"


def test_a_subject_has_its_own_kinds() -> None:
    kinds = {found.kind for found in types_for("volume")}
    assert {"delete_volume", "clone_volume", "wipe_volume"} <= kinds
    assert "start" not in kinds
    assert BULK not in {found.kind for found in types_for("domain")}
