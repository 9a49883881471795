"""`manage.py register_hypervisor`, which set-up calls again and again."""

import uuid

import pytest
from django.core.management import CommandError, call_command

from hypervisors.models import Hypervisor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def register(uri: str) -> Hypervisor:
    call_command("register_hypervisor", "--pool", "rack one", "--name", "host1", "--uri", uri, verbosity=0)
    return Hypervisor.objects.get()


def test_once_more_changes_nothing() -> None:
    first = register("qemu+tcp://host1/system")
    assert (first.hypervisor_pool.name, first.uri) == ("rack one", "qemu+tcp://host1/system")
    assert register("qemu+tcp://host1/system").revision == first.revision


def test_another_address_reconnects_and_forgets_which_machine_it_was() -> None:
    first = register("qemu+tcp://host1/system")
    Hypervisor.objects.update(host_uuid=uuid.uuid4())
    moved = register("qemu+tcp://host2/system")
    assert (moved.pk, moved.revision, moved.host_uuid) == (first.pk, first.revision + 1, None)


def test_a_nonsense_uri_is_refused() -> None:
    with pytest.raises(CommandError):
        register("nonsense")
    assert not Hypervisor.objects.exists()
