"""Leases of transfers: rows, so that any number of transfer processes on any number of machines agree."""

import os
import socket
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from hypervisors.models import TransferLease

# What a killed process held is free after so long.
LEASE_SECONDS = 8
# One transfer more makes every other call on the host slower (4 at once carry 1.3 times what one does).
PLACES_PER_HOST = 2


def take(key: str, holder: str) -> bool:
    """Get it, if nobody has it."""
    now = timezone.now()
    until = now + timedelta(seconds=LEASE_SECONDS)
    free = TransferLease.objects.filter(key=key, until__lt=now)
    if free.update(holder=holder, until=until, is_wanted=False):
        return True
    try:
        with transaction.atomic():
            TransferLease.objects.create(key=key, holder=holder, until=until)
    except IntegrityError:
        return False
    return True


def take_place(hypervisor_id: int, holder: str) -> str | None:
    """The key of one of the host's places; None while all are taken."""
    keys = (f"host:{hypervisor_id}:{number}" for number in range(PLACES_PER_HOST))
    return next((key for key in keys if take(key, holder)), None)


def want(key: str) -> None:
    """Ask whoever has it to give it up."""
    TransferLease.objects.filter(key=key).update(is_wanted=True)


def renew(holder: str) -> tuple[int, bool]:
    """Keep all of the holder's; how many there are, and whether somebody wants one of them."""
    own = TransferLease.objects.filter(holder=holder)
    count = own.update(until=timezone.now() + timedelta(seconds=LEASE_SECONDS))
    return count, own.filter(is_wanted=True).exists()


def release_dead() -> None:
    """Let go of what processes held that ran on this machine and do not any more."""
    for holder in TransferLease.objects.filter(holder__startswith=f"{socket.gethostname()}:").values_list(
        "holder", flat=True
    ):
        pid = holder.split(":")[1]
        if pid.isdigit() and not _runs(int(pid)):
            release(holder)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def release(holder: str) -> None:
    """Let go of all of the holder's."""
    TransferLease.objects.filter(holder=holder).delete()
