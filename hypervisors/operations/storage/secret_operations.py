"""What the kinds of operations on libvirt's secrets share."""

from django.utils.translation import gettext as _

from hypervisors.models import HostSecret
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.types import OperationType
from hypervisors.privileges import Privilege

LISTED = "secret"
# As long as libvirt's messages may be.
MOST_VALUE_BYTES = 65_536


class SecretOperation(OperationType[HostSecret]):
    subject_type = "secret"
    privilege = Privilege.STORAGE_MANAGE

    def why_not(self, secret: HostSecret) -> str:
        return why_unreachable(secret.hypervisor)


def find_secret(run: Run) -> HostSecret | None:
    return HostSecret.objects.select_related("hypervisor").filter(pk=int(run.operation.subject_key)).first()


def gone_text() -> str:
    return _("The secret is gone.")
