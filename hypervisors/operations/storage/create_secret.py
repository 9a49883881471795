"""Create a libvirt secret on a host: what Ceph, iSCSI or an encrypted volume asks for; set, and never read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.storage.secrets import define_secret, is_secret_there
from hypervisors.inventory.refresh_requests import request_listing_refresh
from hypervisors.libvirtxml.secrets import SecretSpec, secret_problems
from hypervisors.models import HostSecret, Hypervisor
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.secret_operations import LISTED
from hypervisors.operations.storage.secret_values import checked_value, value_bytes
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class CreateSecretParameters:
    """`value` as it was typed; Ceph's keys and whatever `is_base64` are decoded."""

    uuid: str
    usage_type: str
    usage: str
    description: str = ""
    value: str = ""
    is_base64: bool = False


class CreateSecret(OperationType[Hypervisor]):
    kind = "create_secret"
    subject_type = "hypervisor"
    label = gettext_lazy("Create secret")
    icon = "key"
    privilege = Privilege.STORAGE_MANAGE
    in_bulk = True
    Parameters: ClassVar[type[Any]] = CreateSecretParameters
    secret_parameters = frozenset({"value"})

    def why_not(self, hypervisor: Hypervisor) -> str:
        return why_unreachable(hypervisor)

    def locks(self, hypervisor: Hypervisor, parameters: CreateSecretParameters) -> tuple[str, ...]:
        return (f"name:secret:{hypervisor.pk}/{parameters.usage_type}/{parameters.usage}",)

    def check(self, hypervisor: Hypervisor, given: Mapping[str, Any]) -> CreateSecretParameters:
        spec = SecretSpec(
            usage_type=str(given.get("usage_type") or ""),
            usage=str(given.get("usage") or "").strip(),
            description=str(given.get("description") or "").strip(),
        )
        wrong = next(iter(secret_problems(spec).values()), "")
        if wrong:
            raise NotPossible(wrong)
        same = HostSecret.objects.filter(hypervisor=hypervisor, usage_type=spec.usage_type, usage=spec.usage)
        if same.exists():
            text = _("%(host)s has a secret for “%(usage)s” already.")
            raise NotPossible(text % {"host": hypervisor.name, "usage": spec.usage})
        value, is_base64 = checked_value(given)
        return CreateSecretParameters(
            uuid=_uuid(given),
            usage_type=spec.usage_type,
            usage=spec.usage,
            description=spec.description,
            value=value,
            is_base64=is_base64,
        )

    def subject_name(self, hypervisor: Hypervisor, parameters: CreateSecretParameters) -> str:
        return parameters.usage

    def run(self, run: Run) -> Result:
        wanted: CreateSecretParameters = run.parameters
        spec = SecretSpec(
            uuid=wanted.uuid, usage_type=wanted.usage_type, usage=wanted.usage, description=wanted.description
        )
        value = value_bytes(wanted.value, is_base64=wanted.is_base64)
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: define_secret(connection, spec, value))
        except HypervisorError as error:
            problem = error
        outcome = run.judge(
            lambda connection: problem is None and is_secret_there(connection, UUID(wanted.uuid)),
            done=_("It is created."),
            problem=problem,
        )
        request_listing_refresh(run.source.pk, LISTED)
        return outcome


def _uuid(given: Mapping[str, Any]) -> str:
    """The one that was given, so that every host of a pool has it: machines that move name it.

    Raises: errors.NotPossible.
    """
    text = str(given.get("uuid") or "")
    try:
        return str(UUID(text)) if text else str(uuid4())
    except ValueError as error:
        raise NotPossible(_("This is no UUID.")) from error
