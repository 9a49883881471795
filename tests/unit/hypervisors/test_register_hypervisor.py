"""`manage.py register_hypervisor`, which set-up calls again and again."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from deploy.environment import REPOSITORY
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


def test_files_are_looked_for_where_the_command_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("only-for-this-test\n")
    monkeypatch.setenv("VMPORTAL_CALLED_FROM", str(tmp_path))
    given = ["--sasl-username", "portal", "--sasl-password-file", "password"]
    uri = "qemu+tcp://host1/system"
    call_command("register_hypervisor", "--pool", "p", "--name", "host1", "--uri", uri, *given, verbosity=0)
    assert Hypervisor.objects.get().credentials.sasl_password == "only-for-this-test"


def test_run_manage_tells_commands_where_it_was_called(tmp_path: Path) -> None:
    """That of this call, and not of the one that started the stack."""
    data, here = tmp_path / "data", tmp_path / "here"
    data.mkdir()
    here.mkdir()
    (data / "running.env").write_text("VMPORTAL_CALLED_FROM=/nowhere\n")
    code = "import os; print(os.environ['VMPORTAL_CALLED_FROM'])"
    ours = ("VMPORTAL_", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [REPOSITORY / "run", "manage", "--data-dir", str(data), "shell", "--no-imports", "-c", code],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(here), done.stderr
