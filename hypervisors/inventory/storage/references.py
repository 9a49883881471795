"""What domains' XML names outside of itself, as rows: written whenever a definition changes."""

from collections.abc import Iterable

from hypervisors.libvirtxml.domain_references import FileReference, find_references
from hypervisors.models import VolumeReference

# Rows per statement: SQLite takes 32,766 variables.
_BATCH = 500


def save_references(definitions: Iterable[tuple[int, str, str]]) -> set[str]:
    """Have the rows of these domains (primary key, live and inactive XML) be what the XML says.

    Returns the names of what they take for raw. Call in the transaction that writes the definitions.
    """
    found = {pk: _found(live_xml, inactive_xml) for pk, live_xml, inactive_xml in definitions}
    rows = [_row(pk, reference) for pk, references in found.items() for reference in references]
    domains = list(found)
    for start in range(0, len(domains), _BATCH):
        VolumeReference.objects.filter(domain__in=domains[start : start + _BATCH]).delete()
    VolumeReference.objects.bulk_create(rows, batch_size=_BATCH)
    return {row.name for row in rows if row.format == "raw"}


def _found(*xmls: str) -> list[FileReference]:
    return list(dict.fromkeys(reference for xml in xmls if xml for reference in find_references(xml)))


def _row(domain_id: int, reference: FileReference) -> VolumeReference:
    return VolumeReference(
        domain_id=domain_id,
        name=reference.name[:1000],
        path=reference.path,
        storage_pool_name=reference.storage_pool[:255],
        role=reference.role[:40],
        target=reference.target[:40],
        format=reference.format[:40],
    )
