"""The pages of a new network and of a network's definition: what they share with storage pools."""

from ipaddress import ip_interface, ip_network
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from hypervisors.libvirtxml.network_builder import NETWORK_XML
from hypervisors.libvirtxml.network_specs import NetworkSpec
from hypervisors.models import Hypervisor, Network
from hypervisors.operations.networks.network_checks import why_no_device, why_taken
from hypervisors.privileges import Privilege
from hypervisors.web.definitions.creation import creation_route
from hypervisors.web.definitions.editing import editing_route
from hypervisors.web.definitions.nouns import Noun
from hypervisors.web.definitions.places import Places
from hypervisors.web.definitions.xml import definition_xml_routes
from hypervisors.web.networks.forms import NetworkForm


def _initial(request: HttpRequest, places: Places) -> dict[str, Any]:
    return {"kind": "nat", "ipv4": _free_network(places.chosen)}


def _free_network(hosts: list[Hypervisor]) -> str:
    """The first of 192.168.100.0/24 and after that none of them has; "" when all are taken."""
    rows = Network.objects.present().filter(hypervisor__in=hosts).values_list("addresses", flat=True)
    taken = []
    for text in " ".join(rows).split():
        try:
            taken.append(ip_interface(text).network)
        except ValueError:
            continue
    for number in range(100, 255):
        free = ip_network(f"192.168.{number}.0/24")
        if not any(one.version == 4 and free.overlaps(one) for one in taken):
            return f"192.168.{number}.1/24"
    return ""


def _interface_names(hosts: list[Hypervisor]) -> dict[str, Any]:
    """Those that every one of them has: proposals."""
    named = [set(host.interface_names) for host in hosts if host.interface_names is not None]
    return {"interface_names": sorted(set.intersection(*named) - {"lo"}) if named else []}


def _why_not_there(hypervisor: Hypervisor, form: NetworkForm, spec: NetworkSpec) -> str:
    return why_taken(hypervisor, spec) or ("" if form.is_xml else why_no_device(hypervisor, spec))


NETWORK = Noun(
    name="network",
    prefix="networks/",
    model=Network,
    xml=NETWORK_XML,
    form=NetworkForm,
    initial_of_new=_initial,
    extra_context=_interface_names,
    why_not_there=_why_not_there,
    view=Privilege.NETWORK_VIEW,
    manage=Privilege.NETWORK_MANAGE,
    list_view="networks",
    host_view="hypervisor_networks",
    icon="plus",
    fields_template="networks/form_fields.html",
    delete_template="networks/delete.html",
    list_word=_("Networks"),
    new_word=_("New network"),
    no_place=_("There is no host on which you may make networks."),
    xml_label=_("XML of the network"),
    xml_hint=_("Written or pasted, as for virsh net-define. Each host gets a UUID of its own."),
    started_note=_(
        "It is started, and nobody is unplugged: fixed addresses, ranges, names and port groups apply at once, "
        "everything else when it is restarted."
    ),
    being_created=ngettext_lazy(
        "The network “%(name)s” is being created on %(count)d host.",
        "The network “%(name)s” is being created on %(count)d hosts.",
        "count",
    ),
    being_deleted=_("The network “%(name)s” of %(host)s is being deleted."),
)

urlpatterns = [creation_route(NETWORK, "networks/create/"), editing_route(NETWORK), *definition_xml_routes(NETWORK)]
