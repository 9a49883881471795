"""What the kinds of operations on libvirt's secrets share, and who uses one, from rows."""

from django.db.models import Q
from django.utils.translation import gettext as _

from hypervisors.libvirtxml.domain_references import text_in_xml
from hypervisors.models import DomainDefinition, DomainSnapshot, HostSecret, StoragePool
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


def secret_users(secret: HostSecret) -> list[str]:
    """Names of storage pools and virtual machines of its host that name it, by its UUID or by what it is for.

    Whatever the attribute is called: the key of a TPM is named by `secret`, and without it all is lost that the guest
    has encrypted. Snapshots count: a machine that goes back to one needs it again.
    """
    words = [str(secret.uuid)]
    if secret.usage:
        usage = text_in_xml(secret.usage)
        words += [f"usage='{usage}'", f'usage="{usage}"']
    in_pool, in_domain, in_snapshot = Q(), Q(), Q()
    for word in words:
        in_pool |= Q(definition_xml__icontains=word)
        in_domain |= Q(live_xml__icontains=word) | Q(inactive_xml__icontains=word)
        in_snapshot |= Q(xml__icontains=word)
    here = {"domain__vanished_at": None, "domain__hypervisor": secret.hypervisor_id}
    pools = StoragePool.objects.present().filter(in_pool, hypervisor=secret.hypervisor_id)
    domains = DomainDefinition.objects.filter(in_domain, **here)
    snapshots = DomainSnapshot.objects.filter(in_snapshot, **here)
    names = [*pools.values_list("name", flat=True), *domains.values_list("domain__name", flat=True)]
    return list(dict.fromkeys([*names, *snapshots.values_list("domain__name", flat=True)]))


def gone_text() -> str:
    return _("The secret is gone.")
