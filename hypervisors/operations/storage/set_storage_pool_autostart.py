"""Whether a storage pool starts with its host."""

from django.utils.translation import gettext_lazy

from hypervisors.models import StoragePool
from hypervisors.operations.definitions.calls import SetAutostart
from hypervisors.operations.storage.storage_pool_operations import StoragePoolOperation


class SetStoragePoolAutostart(SetAutostart[StoragePool], StoragePoolOperation):
    kind = "set_storage_pool_autostart"
    label = gettext_lazy("Change autostart of storage pool")
