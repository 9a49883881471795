"""What is wrong with a domain, in words for people."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from hypervisors.gateway.domains.states import IO_ERROR
from hypervisors.states import DomainState


def double_run_trouble(name: str, hosts: Sequence[str]) -> str:
    """It runs on several hosts at once."""
    return _(
        "ALARM: %(name)s runs on %(hosts)s at the same time. Both write to the same disks and ruin them. Find out "
        "which one is right, force the other one off at once (on its host: virsh destroy), then check its file systems."
    ) % {"name": name, "hosts": _(" and on ").join(hosts)}


def state_trouble(state: DomainState, reason: str, disk_errors: Sequence[str]) -> str:
    """It stands still, and will not go on by itself. "" when nothing is wrong."""
    if state == DomainState.CRASHED:
        return _("Its guest has crashed, and is kept as it was. Look at its screen; then reset it, or force it off.")
    if (state, reason) != (DomainState.PAUSED, IO_ERROR):
        return ""
    if not disk_errors:
        return _("Paused by an I/O error on one of its disks. Mend its storage, then resume it.")
    disks = ", ".join(disk_errors)
    if any("no space" in error for error in disk_errors):
        return _("Paused by an I/O error (%(disks)s). Make room on its storage, then resume it.") % {"disks": disks}
    return _("Paused by an I/O error (%(disks)s). Mend its storage, then resume it.") % {"disks": disks}
