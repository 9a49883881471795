"""The pages of a new storage pool and of a storage pool's definition: what they share with networks."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from hypervisors.access import permitted
from hypervisors.libvirtxml.storage_pool_builder import STORAGE_POOL_XML, read_storage_pool_spec
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec
from hypervisors.libvirtxml.storage_pool_types import POOL_TYPES
from hypervisors.models import Hypervisor, StoragePool
from hypervisors.operations.storage.create_storage_pool import why_taken
from hypervisors.privileges import Privilege
from hypervisors.web.definitions.creation import creation_route
from hypervisors.web.definitions.editing import editing_route
from hypervisors.web.definitions.nouns import Noun
from hypervisors.web.definitions.places import Places
from hypervisors.web.definitions.xml import definition_xml_routes
from hypervisors.web.storage.storage_pool_forms import StoragePoolForm


def _initial(request: HttpRequest, places: Places) -> dict[str, Any]:
    """With `like` the values of that storage pool, to have another host see the same storage."""
    like = request.GET.get("like", "")
    rows = permitted(request.user, Privilege.STORAGE_VIEW, StoragePool.objects.present())
    row = rows.filter(pk=int(like)).first() if like.isdecimal() and len(like) < 10 else None
    try:
        spec = None if row is None else read_storage_pool_spec(row.definition_xml)
    except ValueError:
        spec = None
    return StoragePoolForm.initial_of(spec) if spec is not None and spec.pool_type in POOL_TYPES else {}


def _why_not_there(hypervisor: Hypervisor, form: StoragePoolForm, spec: StoragePoolSpec) -> str:
    return why_taken(hypervisor, spec)


STORAGE_POOL = Noun(
    name="storage_pool",
    prefix="storage/",
    model=StoragePool,
    related=("hypervisor__hypervisor_pool", "shared_storage"),
    xml=STORAGE_POOL_XML,
    form=StoragePoolForm,
    initial_of_new=_initial,
    why_not_there=_why_not_there,
    view=Privilege.STORAGE_VIEW,
    manage=Privilege.STORAGE_MANAGE,
    list_view="storage",
    host_view="hypervisor_storage_pools",
    icon="database-plus",
    fields_template="storage/pool_form_fields.html",
    delete_template="storage/delete_pool.html",
    list_word=_("Storage"),
    new_word=_("New storage pool"),
    no_place=_("There is no host on which you may make storage pools."),
    xml_label=_("XML of the storage pool"),
    xml_hint=_("Written or pasted, as for virsh pool-define. Each host gets a UUID of its own."),
    started_note=_("It is started: what you change counts from its next start on."),
    being_created=ngettext_lazy(
        "The storage pool “%(name)s” is being created on %(count)d host.",
        "The storage pool “%(name)s” is being created on %(count)d hosts.",
        "count",
    ),
    being_deleted=_("The storage pool “%(name)s” of %(host)s is being deleted."),
)

urlpatterns = [
    creation_route(STORAGE_POOL, "storage/pools/create/"),
    editing_route(STORAGE_POOL),
    *definition_xml_routes(STORAGE_POOL),
]
