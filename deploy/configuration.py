"""Writes the configuration files of one stack: Supervisor's, nginx's and Redis's."""

import os
import pwd
import resource
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from deploy.environment import REPOSITORY, write_private
from deploy.programs import Places, programs, supervisor_configuration

_DEPLOY = REPOSITORY / "deploy"
# Enough for thousands of sockets, where the system allows it.
_OPEN_FILES = 16384


def write_configuration(places: Places, environment: dict[str, str], *, host: str, port: int, own_redis: bool) -> None:
    """Write what the processes of the stack read at their start, and make the directories that they write to."""
    for directory in (places.log_dir, places.nginx_configuration.parent, places.redis_configuration.parent):
        directory.mkdir(parents=True, exist_ok=True)
    nginx = _nginx(places, environment, listen=_listen(host, port))
    write_private(places.nginx_configuration, nginx)
    if own_redis:
        write_private(places.redis_configuration, _redis(places, environment))
    members = programs(places, own_redis=own_redis, nginx=nginx_path())
    root = "root" if os.geteuid() == 0 else None
    text = supervisor_configuration(places, members, user=root, open_files=open_files_limit())
    write_private(places.supervisor_configuration, text)


def nginx_path() -> str:
    """nginx's path; Debian keeps it in /usr/sbin, which is not on everybody's PATH."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or "nginx"


def open_files_limit() -> int:
    """How many files a process of ours may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)


def _nginx(places: Places, environment: dict[str, str], *, listen: str) -> str:
    # Started as root, nginx would give its workers to another user, who may not read our directories.
    user_line = f"user {pwd.getpwuid(0).pw_name} {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    return _filled(
        _DEPLOY / "nginx" / "nginx.conf.in",
        USER_LINE=user_line,
        RUNTIME_DIR=places.runtime_dir,
        NGINX_DIR=places.nginx_configuration.parent,
        PAGES_DIR=_DEPLOY / "nginx",
        OPEN_FILES=open_files_limit(),
        WEB_SERVERS=_web_servers(places, environment),
        CONSOLE_PORT=environment["VMPORTAL_CONSOLE_PORT"],
        TRANSFER_PORT=environment["VMPORTAL_TRANSFER_PORT"],
        STATIC_ROOT=environment["VMPORTAL_STATIC_ROOT"],
        LISTEN=listen,
    )


def _web_servers(places: Places, environment: dict[str, str]) -> str:
    sockets = [places.web_socket(number) for number in range(1, int(environment["WEB_CONCURRENCY"]) + 1)]
    return "\n".join(f'        server "unix:{socket}" max_fails=0;' for socket in sockets)


def _listen(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _redis(places: Places, environment: dict[str, str]) -> str:
    url = urlsplit(environment["REDIS_URL"])
    return _filled(
        _DEPLOY / "redis.conf.in",
        REDIS_PORT=url.port,
        REDIS_PASSWORD=url.password,
        REDIS_DIR=places.redis_configuration.parent,
    )


def _filled(template: Path, **values: object) -> str:
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text
