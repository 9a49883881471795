"""Remove a device: from what runs, as soon as the guest lets go of it, and from what is stored."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.models import Domain, Operation
from hypervisors.operations.domains.hardware.checks import checked_base, checked_when, definition_of, device_of
from hypervisors.operations.domains.hardware.device_names import name_by_identity
from hypervisors.operations.domains.hardware.guards import needs_to_remove
from hypervisors.operations.domains.hardware.kinds import HardwareChange
from hypervisors.operations.domains.hardware.parameters import RemoveDeviceParameters
from hypervisors.operations.domains.hardware.removing import remove
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.privileges import Privilege


class RemoveDevice(HardwareChange):
    kind = "remove_device"
    label = gettext_lazy("Remove hardware")
    icon = "minus"
    # Stops the waiting: what the guest was asked for cannot be taken back.
    can_be_cancelled = True
    Parameters: ClassVar[type[Any]] = RemoveDeviceParameters

    def check(self, domain: Domain, given: Mapping[str, Any]) -> RemoveDeviceParameters:
        definition = definition_of(domain)
        return RemoveDeviceParameters(
            device_id=device_of(definition, given.get("device_id")).id,
            when=checked_when(given, domain),
            confirmed=bool(given.get("confirmed")),
            base_sha256=checked_base(given, definition),
        )

    def also_needs(
        self, domain: Domain, parameters: RemoveDeviceParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """A card with a network filter is not taken away by who could not take the filter away."""
        return needs_to_remove(domain, device_of(definition_of(domain), parameters.device_id))

    def title(self, operation: Operation) -> str:
        device_id = operation.parameters.get("device_id")
        name = name_by_identity(str(device_id)) if device_id else ""
        return _("Remove hardware: %(device)s") % {"device": name} if name else str(self.label)

    def run(self, run: Run) -> Result:
        return remove(run)
