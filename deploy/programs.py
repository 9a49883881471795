"""The processes of one stack: what each runs, how it is stopped, and Supervisor's configuration made of them.

http://supervisord.org/configuration.html
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.environment import REPOSITORY


@dataclass(frozen=True, kw_only=True)
class Program:
    """One supervised process. Lower priorities start first and stop last."""

    name: str
    command: list[str]
    priority: int
    # Supervisor kills what has not ended by then.
    stop_wait_seconds: int = 10


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where one stack keeps its files: all below `data_dir`, but sockets, whose paths must be short."""

    data_dir: Path
    runtime_dir: Path

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "log"

    def web_socket(self, number: int | str) -> Path:
        """That of the web process of this number, counted from 1."""
        return self.runtime_dir / f"web-{number}.sock"

    @property
    def supervisor_socket(self) -> Path:
        return self.runtime_dir / "supervisor.sock"

    @property
    def supervisor_configuration(self) -> Path:
        return self.data_dir / "supervisord.conf"

    @property
    def nginx_configuration(self) -> Path:
        return self.data_dir / "nginx" / "nginx.conf"

    @property
    def redis_configuration(self) -> Path:
        return self.data_dir / "redis" / "redis.conf"


def programs(places: Places, *, own_redis: bool, nginx: str) -> list[Program]:
    """The processes of a stack whose files are at `places`; `nginx` is that program's path."""
    redis = Program(name="redis", priority=10, command=["redis-server", str(places.redis_configuration)])
    return ([redis] if own_redis else []) + [
        Program(name="web", priority=30, command=_web(f"unix:{places.web_socket('{}')}")),
        Program(name="console", priority=30, command=_manage("console_proxy")),
        Program(name="transfer", priority=30, command=_manage("transfer_server")),
        # A task that is cut off goes on in libvirt; the next worker adopts it.
        Program(name="worker", priority=40, command=_celery("operations"), stop_wait_seconds=15),
        Program(name="migrations", priority=40, command=_celery("migrations"), stop_wait_seconds=15),
        Program(name="storage", priority=40, command=_celery("storage"), stop_wait_seconds=15),
        Program(name="watcher", priority=50, command=_manage("watch_hypervisors"), stop_wait_seconds=15),
        Program(name="nginx", priority=60, command=[nginx, "-e", "stderr", "-c", str(places.nginx_configuration)]),
    ]


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(REPOSITORY / "manage.py"), *arguments]


def _celery(queue: str) -> list[str]:
    # -n names the node, so that all workers can live on one machine. Threads: a task waits for libvirt in bounded
    # calls, and a fork for each would only cost memory (docs/decisions/0013).
    node = ["-n", f"{queue}@%h", "-Q", queue, "-P", "threads", "-c", "4"]
    quiet = ["--loglevel", "INFO", "--without-mingle", "--without-gossip"]
    return [sys.executable, "-m", "celery", "-A", "vmportal", "worker", *node, *quiet]


def _web(listen: str) -> list[str]:
    return [sys.executable, "-m", "vmportal.web", "--listen", listen]


def supervisor_configuration(places: Places, members: list[Program], *, user: str | None, open_files: int) -> str:
    """The text of supervisord.conf; `user` is root's way of saying that staying root is meant."""
    supervisord: dict[str, object] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": places.log_dir / "supervisord.log",
        "logfile_maxbytes": "5MB",
        "logfile_backups": 2,
        "pidfile": places.runtime_dir / "supervisord.pid",
        "childlogdir": places.log_dir,
        "directory": REPOSITORY,
        "umask": "077",
        "minfds": open_files,
    }
    if user:
        supervisord["user"] = user
    sections: dict[str, dict[str, object]] = {
        "supervisord": supervisord,
        "unix_http_server": {"file": places.supervisor_socket, "chmod": "0600"},
        "supervisorctl": {"serverurl": f"unix://{places.supervisor_socket}"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    sections |= {f"program:{program.name}": _program_section(program, places) for program in members}
    head = "; Made by deploy/programs.py at every start: changes here are lost.\n"
    return head + "\n".join(_section(name, values) for name, values in sections.items())


def _program_section(program: Program, places: Places) -> dict[str, object]:
    return {
        "command": shlex.join(_guarded(program.command)),
        "directory": REPOSITORY,
        "priority": program.priority,
        "autostart": "true",
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 1000,
        "stopsignal": "TERM",
        "stopwaitsecs": program.stop_wait_seconds,
        # Each stops its own children in its own order; what is then left of its group is killed.
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": places.log_dir / f"{program.name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }


def _guarded(command: list[str]) -> list[str]:
    """Should Supervisor itself be killed, the kernel ends its children; Python programs see to that themselves."""
    return command if command[0] == sys.executable else ["setpriv", "--pdeathsig", "TERM", "--", *command]


def _section(name: str, values: dict[str, object]) -> str:
    # Supervisor expands %(…)s in values, so a percent sign is doubled.
    lines = (f"{key} = {str(value).replace('%', '%%')}\n" for key, value in values.items())
    return f"[{name}]\n{''.join(lines)}"
