"""The configuration that a stack is started with: secrets, addresses, Supervisor's and nginx's files."""

import configparser
import os
import re
import shutil
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from deploy.configuration import write_configuration
from deploy.environment import (
    REPOSITORY,
    BadDataDirectory,
    check_data_dir,
    django_environment,
    public_names,
    read_secrets,
)
from deploy.ports import PortTaken, check_port_is_free
from deploy.programs import Places, programs
from deploy.stack import Stack, StackError


def test_secrets_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    first = read_secrets(tmp_path)
    assert read_secrets(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    Fernet(first["VMPORTAL_ENCRYPTION_KEY"])
    assert len(first["VMPORTAL_SECRET_KEY"]) >= 50


def test_a_missing_secret_is_added_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("# kept by hand\nVMPORTAL_SECRET_KEY=mine\n")
    found = read_secrets(tmp_path)
    assert found["VMPORTAL_SECRET_KEY"] == "mine"
    assert read_secrets(tmp_path) == found
    assert set(found) == {"VMPORTAL_SECRET_KEY", "VMPORTAL_ENCRYPTION_KEY", "REDIS_PASSWORD"}


@pytest.mark.parametrize("name", ['a"b', "a%b", "a;b", "a$b", "a\nb", "a{b"])
def test_a_data_directory_with_a_meaning_in_configuration_files_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataDirectory, match="--data-dir"):
        check_data_dir(tmp_path / name)


def test_what_the_caller_sets_wins_but_for_the_stacks_own_places(tmp_path: Path) -> None:
    given = {
        "DATABASE_URL": "postgres://db/vmportal",
        "VMPORTAL_DATA_DIR": "/elsewhere",
        "VMPORTAL_ALLOWED_HOSTS": "a.example",
    }
    environment = django_environment(
        data_dir=tmp_path,
        host="127.0.0.1",
        port=8080,
        redis_url="redis://:pw@127.0.0.1:1/0",
        console_port=2,
        transfer_port=3,
        given=given,
    )
    assert environment["DATABASE_URL"] == "postgres://db/vmportal"
    assert environment["VMPORTAL_DATA_DIR"] == str(tmp_path)
    # The health check comes by address.
    assert environment["VMPORTAL_ALLOWED_HOSTS"] == "a.example,127.0.0.1"
    assert environment["VMPORTAL_PUBLIC_ORIGINS"] == "http://127.0.0.1:8080,http://localhost:8080"


def test_listening_everywhere_allows_this_machines_names_and_addresses() -> None:
    names = public_names("0.0.0.0")
    assert {"localhost", "127.0.0.1", socket.gethostname().lower()} <= set(names)
    assert "0.0.0.0" not in names


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert public_names("fd00::1") == ["[fd00::1]"]


def test_a_taken_port_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port}.*--listen"):
            check_port_is_free("127.0.0.1", port)


def test_supervisor_reads_back_every_program_in_a_path_with_a_space(tmp_path: Path) -> None:
    places = Places(data_dir=tmp_path / "my data", runtime_dir=tmp_path)
    environment = {
        "VMPORTAL_CONSOLE_PORT": "6080",
        "VMPORTAL_TRANSFER_PORT": "6090",
        "WEB_CONCURRENCY": "3",
        "VMPORTAL_STATIC_ROOT": str(tmp_path / "my data" / "static"),
        "REDIS_URL": "redis://:secret@127.0.0.1:6390/0",
    }
    write_configuration(places, environment, host="::1", port=8080, own_redis=True)
    parser = configparser.ConfigParser(interpolation=configparser.BasicInterpolation())
    parser.read(places.supervisor_configuration)
    found = {name.removeprefix("program:") for name in parser.sections() if name.startswith("program:")}
    assert found == {"redis", "web", "console", "transfer", "worker", "migrations", "storage", "watcher", "nginx"}
    assert parser["program:worker"]["command"].count("operations@%h") == 1
    assert f"'{places.nginx_configuration}'" in parser["program:nginx"]["command"]
    nginx = places.nginx_configuration.read_text()
    assert "listen [::1]:8080;" in nginx
    assert re.findall(r"web-(\d)\.sock", nginx) == ["1", "2", "3"]
    redis = places.redis_configuration
    assert "requirepass secret\n" in redis.read_text()
    assert stat.S_IMODE(redis.stat().st_mode) == 0o600
    assert "@" not in redis.read_text()


def test_an_outside_redis_is_not_started(tmp_path: Path) -> None:
    places = Places(data_dir=tmp_path, runtime_dir=tmp_path)
    environment = {"VMPORTAL_CONSOLE_PORT": "1", "VMPORTAL_STATIC_ROOT": "/s", "REDIS_URL": "rediss://far:6379/0"}
    environment |= {"WEB_CONCURRENCY": "1", "VMPORTAL_TRANSFER_PORT": "2"}
    write_configuration(places, environment, host="127.0.0.1", port=8080, own_redis=False)
    assert "[program:redis]" not in places.supervisor_configuration.read_text()
    assert not places.redis_configuration.exists()


def test_a_stack_takes_nothing_of_vmportals_from_the_environment_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://somebody-elses:1/0")
    monkeypatch.setenv("DATABASE_URL", "postgres://somebody-elses/db")
    environment = Stack(tmp_path, env={"VMPORTAL_LOG_LEVEL": "DEBUG"}).environment
    assert environment["REDIS_URL"].startswith("redis://:")
    assert environment["DATABASE_URL"] == f"sqlite:///{tmp_path}/db.sqlite3"
    assert environment["VMPORTAL_LOG_LEVEL"] == "DEBUG"
    assert environment["PATH"] == os.environ["PATH"]


def test_after_stopping_the_database_is_one_file(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "data")
    stack.claim()
    with closing(sqlite3.connect(tmp_path / "written.sqlite3")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE hosts (name TEXT)")
        database.execute("INSERT INTO hosts VALUES ('host1')")
        database.commit()
        # As a process that was killed leaves them.
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"written.sqlite3{suffix}", stack.data_dir / f"db.sqlite3{suffix}")
    assert (stack.data_dir / "db.sqlite3-wal").stat().st_size > 0
    stack.stop()
    assert not (stack.data_dir / "db.sqlite3-wal").exists()
    with closing(sqlite3.connect(stack.data_dir / "db.sqlite3")) as database:
        assert database.execute("SELECT name FROM hosts").fetchall() == [("host1",)]


def test_two_stacks_cannot_share_a_data_directory(tmp_path: Path) -> None:
    first, second = Stack(tmp_path), Stack(tmp_path)
    first.claim()
    try:
        with pytest.raises(StackError, match="Another vmportal runs"):
            second.claim()
    finally:
        first.stop()
    second.claim()
    second.stop()


@pytest.mark.parametrize("name", ["web", "console", "transfer", "worker", "migrations", "storage", "watcher"])
def test_the_systemd_units_run_what_supervisor_runs(name: str, tmp_path: Path) -> None:
    places = Places(data_dir=tmp_path, runtime_dir=Path("/run/vmportal"))
    program = next(one for one in programs(places, own_redis=True, nginx="nginx") if one.name == name)
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.read(REPOSITORY / "deploy" / "production" / f"vmportal-{name}.service")
    ours = [argument.replace(f"{REPOSITORY}/", "") for argument in program.command[1:]]
    assert unit["Service"]["ExecStart"].replace("%%", "%").split()[1:] == ours
