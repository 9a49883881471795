"""What an audit record or an operation is about: type, key and name, which outlive the object."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import models

from hypervisors.models import Domain, Operation

_TYPES = {
    "Domain": "domain",
    "Hypervisor": "hypervisor",
    "HypervisorPool": "hypervisor_pool",
    "StoragePool": "storage_pool",
    "SharedStorage": "shared_storage",
    "Volume": "volume",
    "Network": "network",
    "NetworkFilter": "network_filter",
    "HostSecret": "secret",
    "User": "person",
    "Group": "group",
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Empty for everything. A domain's key is its UUID, of all others the primary key."""

    type: str = ""
    key: str = ""
    name: str = ""


def subject_of(obj: models.Model | None) -> Subject:
    """Raises: KeyError for what cannot be a subject."""
    if obj is None:
        return Subject()
    if isinstance(obj, Operation):
        return Subject(type=obj.subject_type, key=obj.subject_key, name=obj.subject_name)
    key = str(obj.uuid) if isinstance(obj, Domain) else str(obj.pk or "")
    name = obj.get_username() if isinstance(obj, User) else str(getattr(obj, "name", "") or obj)
    return Subject(type=_TYPES[str(obj._meta.object_name)], key=key, name=name)
