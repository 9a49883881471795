"""Single figures: page times, processes' CPU and memory, and the table that goes into docs/benchmarks.md."""

import http.client
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table. `met` is None where there is no target."""

    what: str
    value: str
    target: str = ""
    met: bool | None = None

    def row(self) -> str:
        verdict = {None: "", True: "met", False: "**not met**"}[self.met]
        return f"| {self.what} | {self.value} | {self.target} | {verdict} |"


def milliseconds(values: Sequence[float]) -> str:
    """Median and 95th percentile of seconds."""
    return f"{statistics.median(values) * 1000:.0f} ms median, {p95(values) * 1000:.0f} ms p95"


def p95(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


def time_page(port: int, path: str, cookie: str, *, rounds: int = 30) -> tuple[list[float], int, int]:
    """Seconds from request to whole answer through nginx, and its bytes gzipped and plain; one warm-up."""
    headers = {"Cookie": cookie, "Accept": "text/html"}
    zipped = _fetch(port, path, headers | {"Accept-Encoding": "gzip"})[1]
    plain = _fetch(port, path, headers)[1]
    return [_fetch(port, path, headers)[0] for _ in range(rounds)], zipped, plain


def _fetch(port: int, path: str, headers: dict[str, str]) -> tuple[float, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    started = time.perf_counter()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    size = len(answer.read())
    took = time.perf_counter() - started
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")
    return took, size


def cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def resident_mebibytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


def publish(figures: Sequence[Figure], document: Path, *, conditions: str) -> None:
    """Rewrite what stands between the document's markers."""
    begin, end = "<!-- figures -->\n", "<!-- /figures -->"
    text = document.read_text()
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    table = ["| what | measured | target | |", "|---|---|---|---|", *(figure.row() for figure in figures)]
    document.write_text(before + begin + conditions + "\n\n" + "\n".join(table) + "\n" + end + after)
