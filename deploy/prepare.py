"""What has to be true before the processes start: the schema, the static files, an administrator, hypervisors.

Run as `python -m deploy.prepare [--hypervisor POOL NAME URI]…` in the environment of a stack.
Everything here may be repeated. The last line of the output is a JSON object.
"""

import argparse
import contextlib
import gzip
import hashlib
import json
import os
import secrets
import sys
from pathlib import Path

import django
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from deploy.environment import REPOSITORY, write_private

ADMIN = "admin"
# Smaller files gain nothing from compression; these kinds do.
_COMPRESSED_FROM_BYTES = 1024
_TEXT_SUFFIXES = {".css", ".js", ".mjs", ".json", ".svg", ".txt", ".html", ".map"}


def main() -> int:
    arguments = _arguments()
    django.setup()
    try:
        print(json.dumps({"admin_created": prepare(arguments.hypervisor)}))
    except (CommandError, DatabaseError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(hypervisors: list[tuple[str, str, str]]) -> bool:
    """Do it all; True if the administrator was made now. Raises CommandError, DatabaseError."""
    data_dir = Path(os.environ["VMPORTAL_DATA_DIR"])
    with contextlib.redirect_stdout(sys.stderr):
        call_command("migrate", interactive=False, verbosity=0)
        collect_static_files(Path(os.environ["VMPORTAL_STATIC_ROOT"]))
        created = ensure_administrator(data_dir / "admin-password")
        for pool, name, uri in hypervisors:
            call_command("register_hypervisor", pool=pool, name=name, uri=uri, verbosity=0)
    return created


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare")
    parser.add_argument("--hypervisor", nargs=3, action="append", default=[], metavar=("POOL", "NAME", "URI"))
    return parser.parse_args()


def ensure_administrator(password_file: Path) -> bool:
    """Make `admin` with a random password in the file, when there is no user at all; True if it was made now.

    The file is removed once the password in it is no longer admin's.
    """
    from django.contrib.auth.models import User

    if User.objects.exists():
        _forget_changed_password(password_file)
        return False
    password = secrets.token_urlsafe(15)
    User.objects.create_superuser(ADMIN, password=password)
    write_private(password_file, f"{password}\n")
    return True


def _forget_changed_password(password_file: Path) -> None:
    from django.contrib.auth.models import User

    if not password_file.exists():
        return
    admin = User.objects.filter(username=ADMIN, is_active=True).first()
    if admin is None or not admin.check_password(password_file.read_text().strip()):
        password_file.unlink()


def collect_static_files(static_root: Path) -> None:
    """Collect and compress them, unless nothing changed since the last time."""
    stamp = static_root / ".collected"
    state = _sources_state()
    if stamp.exists() and stamp.read_text() == state:
        return
    static_root.mkdir(parents=True, exist_ok=True)
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    compress(static_root)
    stamp.write_text(state)


def _sources_state() -> str:
    """A hash that changes with our static files and with anything that decides how they are collected."""
    own = (path for path in sorted((REPOSITORY / "static").rglob("*")) if path.is_file())
    bundles = [path for path in sorted((REPOSITORY / "deploy/bundles").iterdir()) if path.is_file()]
    names = ("package.json", "package-lock.json", "requirements.txt", "deploy/prepare.py")
    project = [*bundles, *(REPOSITORY / name for name in names)]
    deciding = [REPOSITORY / "vmportal" / name for name in ("settings.py", "staticfiles.py")]
    digest = hashlib.sha256()
    for path in (*own, *project, *deciding):
        digest.update(f"{path.relative_to(REPOSITORY)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def compress(static_root: Path) -> None:
    """Put a .gz beside every text file, for nginx's gzip_static."""
    for path in [path for path in static_root.rglob("*") if path.is_file()]:
        if path.suffix in _TEXT_SUFFIXES and path.stat().st_size >= _COMPRESSED_FROM_BYTES:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))


if __name__ == "__main__":
    sys.exit(main())
