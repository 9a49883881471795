"""Django's settings for tests: those of the product, with an environment of their own where none is given.

`REDIS_URL` and `DATABASE_URL` are respected, so that the tests also run against PostgreSQL and an outside Redis.
"""

import atexit
import os
import shutil
import socket
import tempfile

from cryptography.fernet import Fernet


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if "VMPORTAL_DATA_DIR" not in os.environ:
    _data_dir = tempfile.mkdtemp(prefix="vmportal-test-")
    atexit.register(shutil.rmtree, _data_dir, ignore_errors=True)
    os.environ["VMPORTAL_DATA_DIR"] = _data_dir
if "REDIS_URL" not in os.environ:
    # tests/conftest.py starts a server there.
    os.environ["VMPORTAL_TEST_REDIS_PORT"] = str(_free_port())
    os.environ["REDIS_URL"] = f"redis://127.0.0.1:{os.environ['VMPORTAL_TEST_REDIS_PORT']}/0"
os.environ.setdefault("VMPORTAL_SECRET_KEY", "only-for-tests")
os.environ.setdefault("VMPORTAL_ENCRYPTION_KEY", Fernet.generate_key().decode())
os.environ.setdefault("VMPORTAL_ALLOW_TEST_DRIVER", "1")

from vmportal.settings import *  # noqa: E402, F403
from vmportal.settings import DATA_DIR, DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, as in real life: threads and processes meet its locks.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
# Connections of a test's own threads and loops end with what they were opened for.
DATABASES["default"]["CONN_MAX_AGE"] = 0
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
