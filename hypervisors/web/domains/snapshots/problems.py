"""What every page of a machine needs to know of its snapshots."""

from hypervisors.models import Domain, SnapshotSchedule

# Kinds with dialogs of their own.
SNAPSHOT_KINDS = ("create_snapshot", "revert_snapshot", "delete_snapshot", "describe_snapshot")


def schedule_problems(domain: Domain) -> list[SnapshotSchedule]:
    """Its schedules that do not do what they should."""
    return list(SnapshotSchedule.objects.filter(domain=domain, enabled=True).exclude(problem=""))
