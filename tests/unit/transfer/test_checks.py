"""The last step of uploads: which of them are looked at."""

import threading
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from hypervisors.errors import HypervisorError
from hypervisors.models import Hypervisor, StoragePool, Upload
from hypervisors.operations.storage.uploads import begin_upload
from hypervisors.states import UploadState
from hypervisors.transfer.checks import Checker
from hypervisors.transfer.transfers import TransferRegistry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def test_a_host_that_is_away_keeps_no_other_upload_from_being_checked(
    make_hypervisor: Callable[..., Hypervisor], alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = StoragePool.objects.create(
        hypervisor=make_hypervisor(), uuid=uuid4(), name="images", active=True, autostart=True, available_bytes=2**40
    )
    names = ["a.iso", "b.iso"]
    for name in names:
        begin_upload(user=alice, storage_pool=pool, parameters={"name": name, "length_bytes": 9}, fingerprint="")
    Upload.objects.update(state=UploadState.CHECKING)
    looked_at = []

    def look(_checker: Checker, upload: Upload) -> None:
        looked_at.append(upload.volume_name)
        raise HypervisorError("It does not answer.")

    monkeypatch.setattr(Checker, "_check", look)
    Checker(TransferRegistry(), threading.Event())._check_due()
    assert looked_at == names
