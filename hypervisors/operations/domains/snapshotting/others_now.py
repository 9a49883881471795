"""What others would lose by a snapshot's being merged or gone back to: asked of libvirt and the storage at that moment.

The same questions as `others`, which only has rows; those may be minutes old, and data lost is lost.
"""

from collections.abc import Iterable, Sequence

from django.utils.translation import gettext as _

from hypervisors.gateway.domains.reading import read_domain
from hypervisors.gateway.domains.snapshots import SnapshotFacts
from hypervisors.gateway.storage.volumes import read_volume
from hypervisors.libvirtxml.domain_references import FileReference, find_references
from hypervisors.libvirtxml.domain_snapshots import held_definitions
from hypervisors.models import Domain
from hypervisors.operations.domains.named_storage import disk_modes, volumes_named
from hypervisors.operations.domains.snapshotting.others import REWOUND_ROLES
from hypervisors.operations.domains.snapshotting.places import volume_at
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.storage.latest_file_users import why_files_needed_now


def why_no_merge_now(run: Run, domain: Domain, doomed: SnapshotFacts, found: Iterable[SnapshotFacts]) -> str:
    """Who else needs a file that deleting this external one writes into or takes away; "" for nobody.

    `found`: all snapshots of the machine as they are now. Raises: errors.HypervisorError.
    """
    overlays = doomed.parsed.overlays
    then = {one.path for one in _references(doomed) if one.target in overlays and one.role != "backing"}
    below = {_backing_path(run, path) for path in overlays.values()}
    paths = {path for path in (*overlays.values(), *then, *below) if path}
    reason = why_files_needed_now(run, sorted(paths), own_paths=_own_paths(run, found), apart_from=domain)
    return _("Its files are not the machine's alone. %(reason)s") % {"reason": reason} if reason else ""


def why_no_return_now(run: Run, domain: Domain, chosen: SnapshotFacts, found: Iterable[SnapshotFacts]) -> str:
    """Who else has, or needs, a disk that going back writes to; "" for nobody. Raises: errors.HypervisorError."""
    paths = {path for xml in held_definitions(chosen.xml) for path in _written_paths(run, xml)}
    reason = why_files_needed_now(run, sorted(paths), own_paths=_own_paths(run, found), apart_from=domain)
    return (
        _("A disk that it would get back is not the machine's alone. %(reason)s") % {"reason": reason} if reason else ""
    )


def _own_paths(run: Run, found: Iterable[SnapshotFacts]) -> set[str]:
    """What the machine runs from or starts from, and all that its snapshots have set apart."""
    paths = {path for one in found for path in one.parsed.overlays.values()}
    facts = run.ask(lambda connection: read_domain(connection, run.uuid))
    for xml in (facts.live_xml, facts.inactive_xml) if facts is not None else ():
        paths |= {reference.path for reference in find_references(xml) if reference.path} if xml else set()
    return paths


def _references(facts: SnapshotFacts) -> Sequence[FileReference]:
    return [reference for xml in held_definitions(facts.xml) for reference in find_references(xml)]


def _written_paths(run: Run, xml: str) -> set[str]:
    """Of what is written to, and not shared by those who say so; by its place, and by its storage pool's."""
    modes = disk_modes(xml)
    written = [
        one
        for one in find_references(xml)
        if one.role in REWOUND_ROLES and not any(modes.get(one.target, (False, False)))
    ]
    named = {volume.path for _reference, volume in volumes_named(run.source, written) if volume.path}
    return {one.path for one in written if one.path} | named


def _backing_path(run: Run, path: str) -> str:
    """ "" where that is not known, or it is on top of nothing."""
    place = volume_at(run.source, path)
    if place is None:
        return ""
    pool, name = place
    facts = run.ask(lambda connection: read_volume(connection, pool.uuid, name))
    return facts.backing_path if facts is not None else ""
