"""What libvirt leaves of a snapshot that it has deleted: the file of its memory, and what we know of its overlays."""

import logging

from django.utils.translation import gettext as _

from hypervisors.errors import VmportalError
from hypervisors.gateway.domains.snapshots import list_snapshots
from hypervisors.gateway.storage.volumes import delete_volume, read_volume
from hypervisors.inventory.storage.origins import forget_origin, note_origin
from hypervisors.models import Volume
from hypervisors.operations.domains.snapshotting.places import volume_at
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE
from hypervisors.operations.storage.latest_volume_users import users_now
from hypervisors.operations.storage.volume_users import in_use_text

logger = logging.getLogger(__name__)

_DELETE_SECONDS = 600.0


def clear_memory(run: Run, path: str) -> str:
    """Delete the file that its memory was kept in; "" when it is gone, else that it stays, for people.

    Raises: one of UNASKABLE.
    """
    reason = _why_kept(run, path)
    if reason:
        logger.warning("The memory of a snapshot stays at %s: %s", path, reason)
        return _("The file of its memory stays at %(path)s: %(reason)s") % {"path": path, "reason": reason}
    return ""


def note_overlay(run: Run, path: str) -> None:
    """Merging puts it on top of another file, or takes it away."""
    place = volume_at(run.source, path)
    if place is None:
        return
    pool, name = place
    facts = run.ask(lambda connection: read_volume(connection, pool.uuid, name))
    if facts is None:
        forget_origin(pool, name)
    else:
        note_origin(pool, name, format_="qcow2", backing_path=facts.backing_path)


def _why_kept(run: Run, path: str) -> str:
    place = volume_at(run.source, path)
    if place is None:
        return _("It is in no storage pool.")
    pool, name = place
    found = run.ask(lambda connection: list_snapshots(connection, run.uuid))
    if any(one.parsed.memory_path == path for one in found):
        return _("Another snapshot has it too.")
    try:
        # Whoever took it by hand chose where its memory goes.
        users = users_now(run, Volume(storage_pool=pool, name=name, path=path), even_when_busy=True)
        reason = in_use_text(*users)
        if not reason:
            run.ask(lambda connection: delete_volume(connection, pool.uuid, name), seconds=_DELETE_SECONDS)
            forget_origin(pool, name)
    except UNASKABLE:
        raise
    except VmportalError as error:
        return str(error)
    return reason
