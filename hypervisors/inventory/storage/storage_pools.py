"""Storage pools and volumes as rows: the values of their columns, cut to what the columns hold."""

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.gateway.storage.storage_pools import StoragePoolFacts
from hypervisors.gateway.storage.volumes import VolumeFacts

# Storage that lies on the network: the same source is the same storage, wherever it is mounted.
_NETWORK_TYPES = frozenset({"netfs", "rbd", "gluster", "iscsi", "iscsi-direct"})
# Storage that is a directory on each host, and may be a mount of the same file system.
_DIRECTORY_TYPES = frozenset({"dir", "fs"})


def pool_columns(facts: StoragePoolFacts) -> dict[str, Any]:
    return {
        "uuid": facts.uuid,
        "name": facts.name[:255],
        "pool_type": facts.pool_type[:20],
        "active": facts.active,
        "autostart": facts.autostart,
        "target_path": facts.target_path[:1000],
        "source": facts.source[:1000],
        "persistent": facts.persistent,
        "definition_xml": facts.definition_xml,
        "capacity_bytes": facts.capacity_bytes,
        "allocation_bytes": facts.allocation_bytes,
        "available_bytes": facts.available_bytes,
    }


def volume_columns(facts: VolumeFacts) -> dict[str, Any]:
    return {
        "name": facts.name[:1000],
        "key": facts.key,
        "path": facts.path,
        "volume_type": facts.volume_type[:20],
        "format": facts.format[:40],
        "capacity_bytes": facts.capacity_bytes,
        "allocation_bytes": facts.allocation_bytes,
        "backing_path": facts.backing_path,
        "backing_format": facts.backing_format[:40],
        "encryption": facts.encryption[:20],
        "encryption_secret": facts.encryption_secret[:36],
    }


def size_troubles(facts: StoragePoolFacts | None, volumes: Iterable[VolumeFacts]) -> str:
    """What is said of sizes that cannot be; empty when there are none."""
    texts = []
    if facts is not None and facts.implausible_bytes is not None:
        texts.append(
            _("It reports a size that cannot be (%(size)d bytes); it is shown as 0.")
            % {"size": facts.implausible_bytes}
        )
    odd = [volume.name for volume in volumes if volume.implausible_bytes is not None]
    if odd:
        texts.append(
            _("%(count)d of its volumes report sizes that cannot be, among them “%(name)s”; they are shown as 0.")
            % {"count": len(odd), "name": odd[0]}
        )
    return " ".join(texts)


def shared_identity(*, pool_type: str, name: str, target_path: str, source: str) -> str:
    """The same for storage pools that look like the same storage; empty for what no two hosts can share."""
    if pool_type in _NETWORK_TYPES and source:
        return f"source {source}"
    if pool_type in _DIRECTORY_TYPES and target_path:
        return f"path {target_path.rstrip('/')} of {name}"
    return ""
