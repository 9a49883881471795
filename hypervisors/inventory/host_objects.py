"""The mirror of what a host has beside its domains: a hypervisor's rows are made to match its latest listing."""

from collections.abc import Callable
from typing import Any, Generic, Literal, Protocol, TypeVar

from hypervisors.broadcast import Change
from hypervisors.models import Network, StoragePool


class _Facts(Protocol):
    @property
    def uuid(self) -> Any: ...


Row = TypeVar("Row", Network, StoragePool)
Facts = TypeVar("Facts", bound=_Facts)


class HostObjectMirror(Generic[Row, Facts]):
    """Used by the writer's thread alone.

    `columns` gives the row's values of one object's facts, its UUID among them.
    """

    def __init__(
        self,
        model: type[Row],
        columns: Callable[[Facts], dict[str, Any]],
        *,
        what: Literal["network", "storage_pool"],
    ) -> None:
        self._model: type[Row] = model
        self._columns = columns
        self._what = what
        self.load()

    def load(self) -> None:
        """Forget what was written: everything is told again."""
        self._written: dict[int, tuple[Facts, ...]] = {}
        self._unsaved: dict[int, tuple[Facts, ...]] = {}

    def take_listing(self, hypervisor_id: int, facts: tuple[Facts, ...]) -> None:
        if self._written.get(hypervisor_id) != facts:
            self._unsaved[hypervisor_id] = facts

    def forget_hypervisor(self, hypervisor_id: int) -> None:
        self._written.pop(hypervisor_id, None)
        self._unsaved.pop(hypervisor_id, None)

    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def save(self) -> list[Change]:
        """Write and say what to publish. Call in a transaction; after an error, load() anew."""
        unsaved, self._unsaved = self._unsaved, {}
        for hypervisor_id, listed in unsaved.items():
            self._replace(hypervisor_id, [self._columns(facts) for facts in listed])
        self._written.update(unsaved)
        return [
            Change(what=self._what, id=str(hypervisor_id), fields={"hypervisor": hypervisor_id})
            for hypervisor_id in unsaved
        ]

    def _replace(self, hypervisor_id: int, columns: list[dict[str, Any]]) -> None:
        rows = self._model._default_manager
        rows.filter(hypervisor=hypervisor_id).exclude(uuid__in=[values["uuid"] for values in columns]).delete()
        if columns:
            rows.bulk_create(
                [self._model(hypervisor_id=hypervisor_id, **values) for values in columns],
                update_conflicts=True,
                unique_fields=["hypervisor", "uuid"],
                update_fields=[name for name in columns[0] if name != "uuid"],
            )
