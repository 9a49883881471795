"""The environment that `vmportal/settings.py` reads: a data directory's secrets, its addresses and its defaults."""

import base64
import os
import secrets
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

SECRETS_FILE = "secrets.env"
REPOSITORY = Path(__file__).resolve().parent.parent
# These have a meaning in nginx's, Redis's or Supervisor's configuration.
_UNFIT_FOR_CONFIGURATION = set("\"'\\$;%{}#\n\r\t")


class BadDataDirectory(ValueError):
    """The path cannot be written into the configuration of the processes."""


def check_data_dir(path: Path) -> Path:
    """The absolute path. Raises BadDataDirectory when it holds characters with a meaning in configuration files."""
    path = path.resolve()
    found = sorted(_UNFIT_FOR_CONFIGURATION & set(f"{path}{REPOSITORY}"))
    if found:
        raise BadDataDirectory(
            f"The data directory {path} (or the checkout {REPOSITORY}) has {' '.join(map(repr, found))} in its path. "
            "Choose another with --data-dir."
        )
    return path


def read_secrets(data_dir: Path) -> dict[str, str]:
    """The secrets in `secrets.env`, made up now where they are missing; the file is readable by its owner only."""
    path = data_dir / SECRETS_FILE
    found = read_assignments(path) if path.exists() else {}
    missing = {name: value for name, value in new_secrets().items() if not found.get(name)}
    if missing:
        write_private(path, "".join(f"{name}={value}\n" for name, value in (found | missing).items()))
    return found | missing


def new_secrets() -> dict[str, str]:
    """Random values for every secret."""
    return {name: make() for name, make in _SECRETS.items()}


def write_private(path: Path, text: str) -> None:
    """Write the file whole or not at all, with mode 0600."""
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    draft.rename(path)


def read_assignments(path: Path) -> dict[str, str]:
    """The NAME=value lines of an environment file."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _fernet_key() -> str:
    # cryptography.fernet: 32 random bytes, URL-safe base64.
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


_SECRETS: dict[str, Callable[[], str]] = {
    "VMPORTAL_SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "VMPORTAL_ENCRYPTION_KEY": _fernet_key,
    "REDIS_PASSWORD": lambda: secrets.token_urlsafe(32),
}


_FIXED = (
    "VMPORTAL_DATA_DIR",
    "VMPORTAL_STATIC_ROOT",
    "VMPORTAL_CONSOLE_PORT",
    "VMPORTAL_TRANSFER_PORT",
    "DJANGO_SETTINGS_MODULE",
)


def django_environment(
    *,
    data_dir: Path,
    host: str,
    port: int,
    redis_url: str,
    console_port: int,
    transfer_port: int,
    given: dict[str, str],
) -> dict[str, str]:
    """Everything that the processes of one stack need in their environment; what is in `given` wins."""
    names = public_names(host)
    ours = {
        "VMPORTAL_DATA_DIR": str(data_dir),
        "VMPORTAL_STATIC_ROOT": str(data_dir / "static"),
        "VMPORTAL_CONSOLE_PORT": str(console_port),
        "VMPORTAL_TRANSFER_PORT": str(transfer_port),
        "VMPORTAL_ALLOWED_HOSTS": ",".join(names),
        "VMPORTAL_PUBLIC_ORIGINS": ",".join(f"http://{name}:{port}" for name in names),
        "DATABASE_URL": f"sqlite:///{data_dir / 'db.sqlite3'}",
        "REDIS_URL": redis_url,
        "DJANGO_SETTINGS_MODULE": "vmportal.settings",
        "WEB_CONCURRENCY": str(len(os.sched_getaffinity(0))),
        "PYTHONUNBUFFERED": "1",
    }
    # Sockets and the data directory belong to this stack, whatever the caller's environment says.
    fixed = {name: ours[name] for name in _FIXED}
    stack = read_secrets(data_dir) | ours | {name: value for name, value in given.items() if value} | fixed
    # The health check asks through nginx at the listening address: that name must always be allowed.
    stack["VMPORTAL_ALLOWED_HOSTS"] = _with(stack["VMPORTAL_ALLOWED_HOSTS"], connect_host(host))
    return stack


def _with(names: str, name: str) -> str:
    return names if name in names.split(",") else f"{names},{name}"


def connect_host(host: str) -> str:
    """The address at which this machine itself reaches a listener on `host`, as it stands in a URL."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}.get(host, host)
    return f"[{local}]" if ":" in local else local


def public_names(host: str) -> list[str]:
    """The names and addresses under which browsers will reach a listener on `host`, as they stand in a URL."""
    if host in ("127.0.0.1", "localhost", "::1"):
        names = [connect_host(host), "localhost", "127.0.0.1"]
    elif host in ("0.0.0.0", "::", "*"):
        names = ["localhost", "127.0.0.1", "[::1]", socket.gethostname(), socket.getfqdn(), *_own_addresses()]
    else:
        names = [connect_host(host)]
    return list(dict.fromkeys(name.lower() for name in names if name))


def _own_addresses() -> list[str]:
    try:
        printed = subprocess.run(["hostname", "-I"], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [f"[{address}]" if ":" in address else address for address in printed.split()]
