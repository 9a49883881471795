"""A PostgreSQL of a test's own that is stopped in its midst, and started again."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


class StoppableDatabase:
    """Of `deploy.services.private_postgresql`, whose own end finds nothing left to stop."""

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url) as connection:
            (self._directory,) = connection.execute("SHOW data_directory").fetchone() or ("",)

    def stop(self) -> None:
        """At once, without a word to those that are connected."""
        self._pg_ctl("stop", "-m", "immediate")

    def start(self) -> None:
        """As it was started the first time; returns when it answers."""
        self._pg_ctl("start", "-w", "-l", f"{self._directory}/log", "-o", self._options())

    def end(self) -> None:
        """What pg_ctl has started is nobody's child."""
        self._pg_ctl("stop", "-m", "immediate", check=False)

    def _options(self) -> str:
        words = Path(self._directory, "postmaster.opts").read_text().split('"')[1::2]
        return " ".join(f"'{word}'" for word in words if word not in ("-D", self._directory))

    def _pg_ctl(self, *arguments: str, check: bool = True) -> None:
        program = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))[-1]
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        command += [str(program), "-s", "-D", self._directory, *arguments]
        subprocess.run(command, check=check, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/", timeout=60)


@contextmanager
def stoppable_database(url: str) -> Iterator[StoppableDatabase]:
    database = StoppableDatabase(url)
    try:
        yield database
    finally:
        database.end()
