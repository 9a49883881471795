"""The steps of a merge: what is above an image into it, or what is below the disk's own image into that."""

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible, VmportalError
from hypervisors.gateway.domains.block_jobs import (
    begin_commit,
    begin_pull,
    end_disk_job,
    read_disk_job,
    read_disk_layers,
)
from hypervisors.models import Volume
from hypervisors.operations.domains.disk_jobs import DiskJobFollower, JobEnd
from hypervisors.operations.domains.moving.steps import is_same_file
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.operations.storage.latest_volume_users import users_now
from hypervisors.operations.storage.volume_users import in_use_text, overlays_of

_CALL_SECONDS = 60.0


class MergeStep(Step):
    """Base: begins a job on the disk and follows it. Cancelled, it ends at once, and the disk is what it was."""

    def __init__(self, target: str, paths: Sequence[str]) -> None:
        self._target = target
        # All images of the disk, as the person saw them.
        self._paths = tuple(paths)

    def intend(self, run: Run) -> Made:
        now = self._paths_now(run)
        if len(now) != len(self._paths) or not all(map(is_same_file, now, self._paths)):
            raise NotPossible(
                _("Disk %(disk)s has other images by now. Look at it, and try again.") % {"disk": self._target}
            )
        if run.ask(lambda connection: read_disk_job(connection, run.uuid, self._target)) is not None:
            raise NotPossible(_("Its host is at work on disk %(disk)s already.") % {"disk": self._target})
        return {"paths": list(self._paths)}

    def do(self, run: Run, intent: Made) -> Made:
        if run.cancel_requested.is_set():
            # The next step is not begun then.
            return {}
        self._check(run)
        self._begin(run)
        self._follow(run)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        """A job that a dead worker began is followed to its end; where there is none, it is begun anew."""
        if run.ask(lambda connection: read_disk_job(connection, run.uuid, self._target)) is not None:
            self._follow(run)
        return self._is_merged(self._paths_now(run))

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        run.ask(lambda connection: end_disk_job(connection, run.uuid, self._target), seconds=_CALL_SECONDS)
        if self._is_merged(self._paths_now(run)):
            raise NotPossible(_("It is merged already."))

    def leftover(self, intent: Made, made: Made) -> str:
        return _("Disk %(disk)s has fewer images now.") % {"disk": self._target}

    def _check(self, run: Run) -> None:
        """Raises: errors.NotPossible."""

    def _begin(self, run: Run) -> None:
        raise NotImplementedError

    def _is_merged(self, paths: Sequence[str]) -> bool:
        raise NotImplementedError

    def _follow(self, run: Run) -> None:
        follower = DiskJobFollower(run, self._target)
        try:
            end = follower.follow()
            if end == JobEnd.READY:
                follower.go_over()
        except UNASKABLE:
            raise
        except VmportalError:
            # A step that fails leaves nothing.
            run.ask(lambda connection: end_disk_job(connection, run.uuid, self._target), seconds=_CALL_SECONDS)
            raise
        if end != JobEnd.CANCELLED and not self._is_merged(self._paths_now(run)):
            raise NotPossible(
                _("Its host broke the merge off: the machine was stopped, or the storage is full. It is what it was.")
            )

    def _paths_now(self, run: Run) -> list[str]:
        return [
            layer.path for layer in run.ask(lambda connection: read_disk_layers(connection, run.uuid, self._target))
        ]


class Commit(MergeStep):
    """Everything above an image into it; `written` are the volumes that are changed or lost by that."""

    name = "commit"
    label = gettext_lazy("Merge the images while they are used")

    def __init__(self, target: str, paths: Sequence[str], *, into: str, written: Sequence[Volume]) -> None:
        super().__init__(target, paths)
        self._into = into
        self._written = written

    def _check(self, run: Run) -> None:
        own = {path.rpartition("/")[2] for path in self._paths}
        for volume in self._written:
            others = [one.name for one in overlays_of(volume) if not self._is_own(one.path)]
            users, overlays = users_now(run, volume, apart_from=run.operation.domain, even_when_busy=True)
            reason = in_use_text(users, [*others, *(name for name in overlays if name not in own)])
            if reason:
                raise NotPossible(reason)

    def _is_own(self, path: str) -> bool:
        return any(is_same_file(path, own) for own in self._paths)

    def _begin(self, run: Run) -> None:
        run.ask(
            lambda connection: begin_commit(connection, run.uuid, self._target, base_path=self._into),
            seconds=_CALL_SECONDS,
        )

    def _is_merged(self, paths: Sequence[str]) -> bool:
        return bool(paths) and is_same_file(paths[0], self._into)


class Pull(MergeStep):
    """Everything below the disk's own image into that."""

    name = "pull"
    label = gettext_lazy("Copy what it is on top of into it")

    def _begin(self, run: Run) -> None:
        run.ask(lambda connection: begin_pull(connection, run.uuid, self._target), seconds=_CALL_SECONDS)

    def _is_merged(self, paths: Sequence[str]) -> bool:
        return len(paths) == 1
