"""The mirror of virtual networks: the rows of a hypervisor are made to match its latest listing."""

from hypervisors.broadcast import Change
from hypervisors.gateway.networks import NetworkFacts
from hypervisors.inventory.observations import NetworksListed
from hypervisors.models import Network


class NetworkMirror:
    """Used by the writer's thread alone."""

    def __init__(self) -> None:
        self._written: dict[int, tuple[NetworkFacts, ...]] = {}
        self._unsaved: dict[int, tuple[NetworkFacts, ...]] = {}

    def load(self) -> None:
        """Forget what was written: everything is told again."""
        self.__init__()  # type: ignore[misc]

    def take_listing(self, listed: NetworksListed) -> None:
        if self._written.get(listed.hypervisor_id) != listed.networks:
            self._unsaved[listed.hypervisor_id] = listed.networks

    def forget_hypervisor(self, hypervisor_id: int) -> None:
        self._written.pop(hypervisor_id, None)
        self._unsaved.pop(hypervisor_id, None)

    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def save(self) -> list[Change]:
        """Write and say what to publish. Call in a transaction; after an error, load() anew."""
        unsaved, self._unsaved = self._unsaved, {}
        for hypervisor_id, networks in unsaved.items():
            _replace(hypervisor_id, networks)
        self._written.update(unsaved)
        return [
            Change(what="network", id=str(hypervisor_id), fields={"hypervisor": hypervisor_id})
            for hypervisor_id in unsaved
        ]


def _replace(hypervisor_id: int, networks: tuple[NetworkFacts, ...]) -> None:
    rows = Network.objects.filter(hypervisor=hypervisor_id)
    rows.exclude(uuid__in=[facts.uuid for facts in networks]).delete()
    Network.objects.bulk_create(
        [Network(hypervisor_id=hypervisor_id, **_columns(facts)) for facts in networks],
        update_conflicts=True,
        unique_fields=["hypervisor", "uuid"],
        update_fields=[name for name in NetworkFacts.__dataclass_fields__ if name != "uuid"],
    )


def _columns(facts: NetworkFacts) -> dict[str, object]:
    return {
        "uuid": facts.uuid,
        "name": facts.name[:255],
        "active": facts.active,
        "autostart": facts.autostart,
        "forward_mode": facts.forward_mode[:20],
        "bridge": facts.bridge[:50],
        "addresses": " ".join(facts.addresses)[:500],
    }
