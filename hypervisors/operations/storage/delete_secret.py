"""Delete a libvirt secret that no storage pool and no virtual machine of its host names."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.storage.secrets import delete_secret, is_secret_there
from hypervisors.inventory.refresh_requests import request_listing_refresh
from hypervisors.models import HostSecret
from hypervisors.operations.engine.runs import Result, Run, failed, succeeded
from hypervisors.operations.storage.secret_operations import LISTED, SecretOperation, find_secret, secret_users


class DeleteSecret(SecretOperation):
    kind = "delete_secret"
    label = gettext_lazy("Delete secret")
    icon = "trash"
    is_dangerous = True
    question = gettext_lazy("Delete the secret “%s”?")
    warning = gettext_lazy("Its value is lost: nobody can read it.")

    def why_not(self, secret: HostSecret) -> str:
        return super().why_not(secret) or why_secret_used(secret_users(secret))

    def run(self, run: Run) -> Result:
        secret = find_secret(run)
        if secret is None:
            return succeeded(_("It was gone already."))
        # A machine may have been given it since it was asked for.
        used = why_secret_used(secret_users(secret))
        if used:
            return failed(used)
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


def why_secret_used(users: list[str]) -> str:
    if not users:
        return ""
    shown = ", ".join(_("“%s”") % name for name in users[:5])
    return _("It is used by %(names)s.") % {"names": shown}
