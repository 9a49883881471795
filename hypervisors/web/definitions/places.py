"""Where something can be defined: on one host, or on every host of a pool."""

from collections.abc import Sequence

from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from hypervisors.access import permitted
from hypervisors.models import Hypervisor, HypervisorPool
from hypervisors.privileges import Privilege


class Places:
    """The hosts on which the person may do so, and which of them are chosen. Raises: Http404 for one that is not."""

    def __init__(self, request: HttpRequest, privilege: Privilege) -> None:
        hosts = permitted(request.user, privilege, Hypervisor.objects.all())
        self.hosts = list(hosts.select_related("hypervisor_pool").defer("cpu_xml", "machine_types"))
        pools = HypervisorPool.objects.filter(pk__in={host.hypervisor_pool_id for host in self.hosts})
        self.choices = _choices(self.hosts, list(pools))
        values = request.POST if request.method == "POST" else request.GET
        self.chosen_name = values.get("place") or _place_in_url(request) or next(iter(dict(self.choices)), "")
        if self.choices and self.chosen_name not in dict(self.choices):
            raise Http404

    @property
    def chosen(self) -> list[Hypervisor]:
        kind, _dash, key = self.chosen_name.partition("-")
        if kind == "pool":
            return [host for host in self.hosts if str(host.hypervisor_pool_id) == key]
        return [host for host in self.hosts if str(host.pk) == key]


def _choices(hypervisors: Sequence[Hypervisor], pools: Sequence[HypervisorPool]) -> list[tuple[str, str]]:
    """ "host-3", or "pool-1" for every host of a pool that has several."""
    choices = []
    for pool in pools:
        count = sum(host.hypervisor_pool_id == pool.pk for host in hypervisors)
        if count > 1:
            text = _("Every host of %(pool)s (%(count)d)") % {"pool": pool.name, "count": count}
            choices.append((f"pool-{pool.pk}", text))
        choices += [(f"host-{host.pk}", host.name) for host in hypervisors if host.hypervisor_pool_id == pool.pk]
    return choices


def _place_in_url(request: HttpRequest) -> str:
    for kind in ("pool", "host"):
        if request.GET.get(kind):
            return f"{kind}-{request.GET[kind]}"
    return ""
