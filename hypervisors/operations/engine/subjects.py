"""What an operation can be about: how each type of subject is named in rows, found again, locked and linked to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import models
from django.urls import NoReverseMatch, reverse

from hypervisors.models import (
    Domain,
    HostSecret,
    Hypervisor,
    HypervisorPool,
    Network,
    NetworkFilter,
    Operation,
    StoragePool,
    Volume,
)


@dataclass(frozen=True, kw_only=True)
class SubjectType:
    """One type of subject. `key` is what `Operation.subject_key` holds; `find` gives None when it is gone."""

    name: str
    model: type[models.Model]
    key: Callable[[Any], str]
    find: Callable[[str], Any]
    # The path of its page; "" where it has none.
    url: Callable[[str], str]
    # Where it is asked for: what a request's row says of its host.
    hypervisor: Callable[[Any], Hypervisor | None]
    # The lock of the subject as a whole; by default its name and key.
    lock: Callable[[Any], str] | None = None


def _by_primary_key(
    name: str, model: type[models.Model], *, view: str, hypervisor: Callable[[Any], Hypervisor | None]
) -> SubjectType:
    manager: Any = model._default_manager
    return SubjectType(
        name=name,
        model=model,
        key=lambda row: str(row.pk),
        find=lambda key: manager.filter(pk=key).first(),
        url=lambda key: reverse(view, args=[int(key)]) if view else "",
        hypervisor=hypervisor,
    )


SUBJECT_TYPES: dict[str, SubjectType] = {
    subject_type.name: subject_type
    for subject_type in (
        SubjectType(
            name="domain",
            model=Domain,
            key=lambda domain: str(domain.uuid),
            find=lambda key: Domain.objects.select_related("hypervisor").filter(uuid=key).first(),
            url=lambda key: reverse("domain", args=[UUID(key)]),
            hypervisor=lambda domain: domain.hypervisor,
        ),
        _by_primary_key("hypervisor", Hypervisor, view="hypervisor", hypervisor=lambda row: row),
        _by_primary_key("hypervisor_pool", HypervisorPool, view="hypervisor_pool", hypervisor=lambda _row: None),
        _by_primary_key("storage_pool", StoragePool, view="storage_pool", hypervisor=lambda row: row.hypervisor),
        SubjectType(
            name="volume",
            model=Volume,
            key=lambda volume: str(volume.pk),
            find=lambda key: Volume.objects.select_related("storage_pool__hypervisor").filter(pk=key).first(),
            url=lambda key: reverse("volume", args=[int(key)]),
            hypervisor=lambda volume: volume.storage_pool.hypervisor,
            lock=lambda volume: volume_lock_key(volume.storage_pool, volume.name),
        ),
        _by_primary_key("network", Network, view="network", hypervisor=lambda row: row.hypervisor),
        _by_primary_key("network_filter", NetworkFilter, view="network_filter", hypervisor=lambda row: row.hypervisor),
        _by_primary_key("secret", HostSecret, view="", hypervisor=lambda row: row.hypervisor),
    )
}


def volume_lock_key(storage_pool: StoragePool, name: str) -> str:
    """One lock for a volume on all hosts that seem to share its storage."""
    return f"volume:{storage_pool.storage_key}/{name}"


def subject_type_of(subject: models.Model) -> SubjectType:
    """Raises: TypeError for what no operation can be about."""
    for subject_type in SUBJECT_TYPES.values():
        if isinstance(subject, subject_type.model):
            return subject_type
    raise TypeError(f"No operation can be about {subject!r}.")


def subject_key(subject: models.Model) -> str:
    return subject_type_of(subject).key(subject)


def lock_key(subject: models.Model) -> str:
    """The lock of the subject as a whole, for example "domain:<uuid>"."""
    subject_type = subject_type_of(subject)
    return subject_type.lock(subject) if subject_type.lock else f"{subject_type.name}:{subject_type.key(subject)}"


def find_subject(operation: Operation) -> Any:
    """What the operation is about as its row is now; None when it is gone."""
    if operation.subject_type == "domain":
        return operation.domain
    subject_type = SUBJECT_TYPES.get(operation.subject_type)
    return subject_type.find(operation.subject_key) if subject_type else None


def subject_url(operation: Operation) -> str:
    """The page of what it is about; "" where there is none."""
    subject_type = SUBJECT_TYPES.get(operation.subject_type)
    if subject_type is None or not operation.subject_key:
        return ""
    try:
        return subject_type.url(operation.subject_key)
    except NoReverseMatch:
        return ""
