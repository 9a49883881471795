"""Change a storage pool's definition, guarded by the digest of what the person saw; it counts from its next start."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.storage.storage_pools import StoragePoolFacts
from hypervisors.libvirtxml.storage_pool_builder import definition_of
from hypervisors.models import StoragePool
from hypervisors.operations.definitions.editing import EditDefinition, EditParameters
from hypervisors.operations.storage.storage_pool_operations import StoragePoolOperation


class EditStoragePool(EditDefinition[StoragePool], StoragePoolOperation):
    kind = "edit_storage_pool"
    label = gettext_lazy("Edit storage pool")
    identity = ("name", "uuid", "pool_type")
    identity_stays = gettext_lazy("Its name, its UUID and its type stay: to have others, create another storage pool.")

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> EditParameters:
        parameters = super().check(storage_pool, given)
        return replace(parameters, xml=definition_of(parameters.xml))

    def done_text(self, facts: StoragePoolFacts | None) -> str:
        if facts is None or not facts.active:
            return _("It is changed.")
        return _("It is changed; that counts from its next start on: stop it and start it again.")
