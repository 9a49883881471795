"""The pages: one module per noun and kind of page, each with its own `urlpatterns`."""

from django.urls import URLPattern

from hypervisors.web import home, search
from hypervisors.web.consoles import pages as consoles
from hypervisors.web.domains import (
    appliances,
    cloning,
    deletion,
    disks,
    exports,
    guests,
    lists,
    roles,
    screen_pictures,
    templates,
)
from hypervisors.web.domains import operations as domain_operations
from hypervisors.web.domains import pages as domains
from hypervisors.web.domains import xml as domain_xml
from hypervisors.web.domains.creation import pages as creation
from hypervisors.web.domains.hardware import changes as hardware_changes
from hypervisors.web.domains.hardware import pages as hardware
from hypervisors.web.domains.snapshots import dialogs as snapshot_dialogs
from hypervisors.web.domains.snapshots import pages as snapshots
from hypervisors.web.domains.snapshots import schedules as snapshot_schedules
from hypervisors.web.domains.snapshots import xml as snapshot_xml
from hypervisors.web.hypervisors import devices, editing, hypervisor_pools, processes, tree
from hypervisors.web.hypervisors import pages as hypervisors
from hypervisors.web.networks import definitions as network_definitions
from hypervisors.web.networks import filters, network_actions, topology
from hypervisors.web.networks import lists as network_lists
from hypervisors.web.networks import pages as networks
from hypervisors.web.operations import pages as operations
from hypervisors.web.people import accounts, audit
from hypervisors.web.people import pages as people
from hypervisors.web.storage import definitions as storage_definitions
from hypervisors.web.storage import (
    fetches,
    images,
    secrets,
    shared_storages,
    storage_pool_actions,
    uploads,
    volume_actions,
    volume_pages,
    volume_xml_creation,
)
from hypervisors.web.storage import lists as storage_lists
from hypervisors.web.storage import operations as storage_operations
from hypervisors.web.storage import pages as storage

urlpatterns: list[URLPattern] = [
    *home.urlpatterns,
    *search.urlpatterns,
    *tree.urlpatterns,
    *lists.urlpatterns,
    *creation.urlpatterns,
    *domain_operations.urlpatterns,
    *deletion.urlpatterns,
    *exports.urlpatterns,
    *appliances.urlpatterns,
    *cloning.urlpatterns,
    *templates.urlpatterns,
    *domains.urlpatterns,
    *hardware.urlpatterns,
    *hardware_changes.urlpatterns,
    *snapshots.urlpatterns,
    *snapshot_xml.urlpatterns,
    *snapshot_dialogs.urlpatterns,
    *snapshot_schedules.urlpatterns,
    *domain_xml.urlpatterns,
    *screen_pictures.urlpatterns,
    *disks.urlpatterns,
    *guests.urlpatterns,
    *consoles.urlpatterns,
    *operations.urlpatterns,
    *editing.urlpatterns,
    *hypervisors.urlpatterns,
    *hypervisor_pools.urlpatterns,
    *storage_lists.urlpatterns,
    *storage_definitions.urlpatterns,
    *storage.urlpatterns,
    *volume_pages.urlpatterns,
    *volume_xml_creation.urlpatterns,
    *storage_pool_actions.urlpatterns,
    *shared_storages.urlpatterns,
    *network_lists.urlpatterns,
    *network_definitions.urlpatterns,
    *topology.urlpatterns,
    *filters.urlpatterns,
    *devices.urlpatterns,
    *secrets.urlpatterns,
    *networks.urlpatterns,
    *network_actions.urlpatterns,
    *processes.urlpatterns,
    *roles.urlpatterns,
    *accounts.urlpatterns,
    *people.urlpatterns,
    *audit.urlpatterns,
    *storage_operations.urlpatterns,
    *volume_actions.urlpatterns,
    *images.urlpatterns,
    *uploads.urlpatterns,
    *fetches.urlpatterns,
]
