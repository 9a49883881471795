"""Delete a libvirt secret that no storage pool and no virtual machine of its host names.

Volumes that were encrypted with it do not keep it: its deletion is how they are made unreadable for ever. It takes the
secret's name, typed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.storage.secrets import delete_secret, is_secret_there
from hypervisors.inventory.refresh_requests import request_listing_refresh
from hypervisors.models import HostSecret
from hypervisors.operations.engine.runs import Result, Run, failed, succeeded
from hypervisors.operations.storage.secret_operations import LISTED, SecretOperation, find_secret
from hypervisors.operations.storage.secret_uses import check_confirmed, needing_users, why_secret_used


@dataclass(frozen=True, kw_only=True)
class DeleteSecretParameters:
    """`confirmed_name`: what the person typed, where something is encrypted with it."""

    confirmed_name: str = ""


class DeleteSecret(SecretOperation):
    kind = "delete_secret"
    label = gettext_lazy("Delete secret")
    icon = "trash"
    is_dangerous = True
    question = gettext_lazy("Delete the secret “%s”?")
    warning = gettext_lazy("Its value is lost: nobody can read it.")

    Parameters: ClassVar[type[Any]] = DeleteSecretParameters

    def why_not(self, secret: HostSecret) -> str:
        return super().why_not(secret) or why_secret_used(needing_users(secret))

    def check(self, secret: HostSecret, given: Mapping[str, Any]) -> DeleteSecretParameters:
        confirmed_name = str(given.get("confirmed_name") or "").strip()
        check_confirmed(secret, confirmed_name)
        return DeleteSecretParameters(confirmed_name=confirmed_name)

    def run(self, run: Run) -> Result:
        secret = find_secret(run)
        if secret is None:
            return succeeded(_("It was gone already."))
        # A machine may have been given it since it was asked for.
        used = why_secret_used(needing_users(secret))
        if used:
            return failed(used)
        check_confirmed(secret, run.parameters.confirmed_name)
        uuid = secret.uuid
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: delete_secret(connection, uuid))
        except HypervisorError as error:
            problem = error
        outcome = run.judge(
            lambda connection: not is_secret_there(connection, uuid), done=_("It is deleted."), problem=problem
        )
        request_listing_refresh(secret.hypervisor_id, LISTED)
        return outcome
