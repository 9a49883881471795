"""Uploads of 2 GB through the portal against `virsh vol-upload`, and what one costs: memory, and the pages' latency.

Both ways take the same link, libvirt over TCP to a lab host, into the same storage pool; they take turns. The portal's
way begins with the page's request and ends with the operation. `python -m bench.uploads` measures this alone.
"""

import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import BinaryIO

from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.figures import Figure, p95, resident_mebibytes, time_page
from bench.pages import cookies, signed_in
from deploy.lab.host import Host
from deploy.lab.lab import Lab, bring_up, find_lab_plan, take_down
from deploy.stack import Stack
from tests.browser.chromium import CHROMIUM, CHROMIUM_ARGUMENTS

MIB = 1024**2
SIZE_BYTES = 2048 * MIB
ROUNDS = 3
_CHUNK_BYTES = 256 * MIB
_POOL = "uploads"
# What a gigabit link carries: where pages and an upload share two cores, the upload would else take both.
_LINK_BYTES_PER_SECOND = 118 * MIB


def upload_figures(stack: Stack, lab: Lab, page: Page, directory: Path) -> list[Figure]:
    """The hosts of the lab are registered."""
    host = lab.hosts[0]
    file = _file(directory / "file.img")
    with _storage_pool(host, directory / "pool"):
        storage_pool = _storage_pool_id(page, host)
        sender = _Sender(stack, page, storage_pool)
        pairs = []
        for number in range(ROUNDS + 1):
            ways = [lambda: _by_virsh(host, file), lambda: sender.send(file)]
            times = [_timed(way) for way in (ways if number % 2 else reversed(ways))]
            times = times if number % 2 else times[::-1]
            _remove_all(host, page, storage_pool)
            if number:
                pairs.append(times)
        figures = [_throughput(pairs)]
        figures += _beside_pages(stack, page, storage_pool, file)
    file.unlink()
    return figures


def _throughput(pairs: list[list[float]]) -> Figure:
    virsh, portal = (SIZE_BYTES / MIB / statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(virsh_seconds / portal_seconds for virsh_seconds, portal_seconds in pairs)
    return Figure(
        what="Upload of 2 GB through nginx and the transfer process, checksum included, against virsh vol-upload",
        value=f"{portal:.0f} MiB/s against {virsh:.0f}: × {ratio:.2f}",
        target="× 0.8",
        met=ratio >= 0.8,
    )


def _beside_pages(stack: Stack, page: Page, storage_pool: int, file: Path) -> list[Figure]:
    """An upload by Chromium at a gigabit: the transfer process's memory, and what the list takes meanwhile."""
    cookie = cookies(page)
    before, _zipped, _plain = time_page(stack.port, "/vms/", cookie, rounds=100)
    pid = stack.pid("transfer")
    idle = resident_mebibytes(pid)
    page.goto(f"/storage/{storage_pool}/")
    session = page.context.new_cdp_session(page)
    link = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": _LINK_BYTES_PER_SECOND}
    session.send("Network.emulateNetworkConditions", link)
    with _watched(pid) as most:
        page.locator("vp-upload input[type=file]").set_input_files(file)
        row = page.locator(".vp-upload-row").first
        expect(row).to_contain_text("MiB/s", timeout=60_000)
        during, _zipped, _plain = time_page(stack.port, "/vms/", cookie, rounds=100)
        is_under_way = "MiB/s" in row.inner_text()
        expect(row).to_contain_text("Uploaded", timeout=300_000)
    ratio = statistics.median(during) / statistics.median(before)
    memory = most[0] - idle
    return [
        Figure(
            what="Memory that the transfer process takes for it",
            value=f"{memory} MiB more than the {idle} before",
            target="64 MiB",
            met=memory <= 64,
        ),
        Figure(
            what="VM list while Chromium uploads at 1 Gbit/s" + ("" if is_under_way else " (it ended before)"),
            value=f"{statistics.median(during) * 1000:.1f} ms against {statistics.median(before) * 1000:.1f}: "
            f"× {ratio:.2f}; p95 {p95(during) * 1000:.0f} against {p95(before) * 1000:.0f}",
            target="× 1.3",
            met=ratio <= 1.3,
        ),
    ]


class _Sender:
    """Sends files as the page does: begun by a POST, then pieces of 256 MiB."""

    def __init__(self, stack: Stack, page: Page, storage_pool: int) -> None:
        self._port = stack.port
        self._origin = stack.url
        self._page = page
        self._storage_pool = storage_pool
        self._cookie = cookies(page)
        self._count = 0

    def send(self, file: Path) -> None:
        self._count += 1
        told = self._begin(f"sent-{self._count}.img", file.stat().st_size)
        offset = 0
        with file.open("rb") as source:
            while offset < SIZE_BYTES:
                offset = self._piece(told["url"], source, offset)
        while self._state(told["token"]) != "done":
            time.sleep(0.02)

    def _piece(self, url: str, source: BinaryIO, offset: int) -> int:
        """The kernel sends it, as it does for virsh's reading of a file that lies in memory."""
        count = min(_CHUNK_BYTES, SIZE_BYTES - offset)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        connection.putrequest("PATCH", url)
        headers = {
            "Cookie": self._cookie,
            "Origin": self._origin,
            "Tus-Resumable": "1.0.0",
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(count),
            "Upload-Offset": str(offset),
        }
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        with suppress(OSError):
            connection.sock.sendfile(source, offset, count)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status == 423:
            time.sleep(0.05)
            return self._piece(url, source, offset)
        if answer.status != 204:
            raise RuntimeError(f"{answer.status}: {body.decode()}")
        return int(answer.headers["Upload-Offset"])

    def _begin(self, name: str, length: int) -> dict[str, str]:
        told: dict[str, str] = self._page.evaluate(
            """async ([url, fields]) => {
              const token = document.cookie.match(/csrftoken=([^;]+)/)?.[1]
                ?? JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
              const body = new URLSearchParams(fields);
              return await (await fetch(url, { method: "POST", body, headers: { "X-CSRFToken": token } })).json();
            }""",
            [f"/storage/{self._storage_pool}/uploads/", {"name": name, "length": str(length)}],
        )
        if "url" not in told:
            raise RuntimeError(str(told))
        return told

    def _state(self, token: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        connection.request("GET", f"/storage/uploads/{token}/", headers={"Cookie": self._cookie})
        told = json.loads(connection.getresponse().read())
        connection.close()
        return str(told["state"])


def _by_virsh(host: Host, file: Path) -> None:
    name = "by-virsh.img"
    host.virsh("vol-create-as", _POOL, name, "0", "--format", "raw", "--allocation", "0")
    host.virsh("vol-upload", name, str(file), "--pool", _POOL, timeout_seconds=300)


def _timed(way: object) -> float:
    started = time.perf_counter()
    way()  # type: ignore[operator]
    return time.perf_counter() - started


def _file(path: Path) -> Path:
    """2 GB in which nothing can be left out."""
    block = Random(1).randbytes(MIB)
    with path.open("wb") as file:
        for number in range(SIZE_BYTES // MIB):
            file.write(number.to_bytes(8, "big") + block[8:])
    return path


@contextmanager
def _storage_pool(host: Host, path: Path) -> Iterator[None]:
    path.mkdir()
    host.virsh("pool-define-as", _POOL, "dir", "--target", str(path))
    host.virsh("pool-start", _POOL)
    try:
        yield
    finally:
        for file in path.iterdir():
            file.unlink()
        host.virsh("pool-destroy", _POOL)
        host.virsh("pool-undefine", _POOL)


def _storage_pool_id(page: Page, host: Host) -> int:
    """Once the watcher has seen it."""
    while True:
        page.goto("/hypervisors/")
        page.get_by_role("main").get_by_role("link", name=host.name, exact=True).first.click()
        page.get_by_role("link", name="Storage", exact=False).first.click()
        page.wait_for_timeout(500)
        link = page.get_by_role("main").get_by_role("link", name=_POOL, exact=True)
        if link.count():
            return int((link.first.get_attribute("href") or "").strip("/").rpartition("/")[2])


def _remove_all(host: Host, page: Page, storage_pool: int) -> None:
    for line in host.virsh("vol-list", _POOL).splitlines():
        if line.strip():
            host.virsh("vol-delete", line.split()[0], "--pool", _POOL)


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    """The most that the process takes meanwhile, in MiB."""
    most, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            most[0] = max(most[0], resident_mebibytes(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def _alone(browser: Browser) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="vmportal-bench-") as directory:
        stack = Stack(Path(directory) / "data")
        try:
            lab = bring_up("benchup", Path(directory) / "lab", host_count=1)
            stack.prepare([("lab", host.name, host.uri) for host in lab.hosts])
            stack.launch()
            stack.wait_healthy()
            return upload_figures(stack, lab, signed_in(browser, stack), Path(directory))
        finally:
            stack.stop()
            plan = find_lab_plan("benchup", None)
            if plan is not None:
                take_down(plan)


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        print("\n".join(figure.row() for figure in _alone(browser)))
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
