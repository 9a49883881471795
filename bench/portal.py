"""The whole portal, measured: pages, paint, watcher, changes to DOM, start and migrate against virsh. Needs root."""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bench.against_virsh import against_virsh_figures
from bench.changes import event_figures, virsh_figures
from bench.figures import Figure, publish
from bench.fleets import DOMAINS_PER_HYPERVISOR, register, wait_for_domains, write_fleet
from bench.hardware_page import hardware_page_figures
from bench.live import lone_change_figures, storm_figures
from bench.memory import idle_figures
from bench.pages import cookies, crowd_figures, page_figures, paint_figures, signed_in, watcher_figures
from bench.screens import screen_figures
from bench.uploads import upload_figures
from deploy.environment import REPOSITORY
from deploy.lab.guest import define_guest, remove_guest
from deploy.lab.lab import bring_up, find_lab_plan, take_down
from deploy.stack import Stack
from tests.browser.chromium import CHROMIUM, CHROMIUM_ARGUMENTS

DOCUMENT = Path(REPOSITORY) / "docs/benchmarks.md"
LAB = "bench"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--sizes", default="10,500,10000", help="numbers of VMs; the last is used for all else")
    parser.add_argument("--no-console", action="store_true", help="leave out the console's echo")
    parser.add_argument("--no-lab", action="store_true", help="leave out what needs two real hypervisors")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    figures = idle_figures()
    with tempfile.TemporaryDirectory(prefix="vmportal-bench-") as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        for size in sizes:
            directory = Path(scratch) / str(size)
            is_last = size == sizes[-1]
            figures += _measure_size(
                directory, size, browser, with_all=is_last, with_lab=is_last and not arguments.no_lab
            )
        browser.close()
    if not arguments.no_console:
        figures += _console()
    if not arguments.no_lab:
        figures += _installs()
    now = datetime.datetime.now(tz=datetime.UTC)
    conditions = (
        f"Measured on {now:%Y-%m-%d} on {os.cpu_count()} cores in plain emulation; load {os.getloadavg()[1]:.1f}."
    )
    if not arguments.print_only:
        publish(figures, DOCUMENT, conditions=conditions)
    print("\n".join(figure.row() for figure in figures))


def _measure_size(directory: Path, size: int, browser: Browser, *, with_all: bool, with_lab: bool) -> list[Figure]:
    directory.mkdir()
    per_hypervisor = min(size, DOMAINS_PER_HYPERVISOR)
    uris = write_fleet(directory, size // per_hypervisor, per_hypervisor)
    stack = Stack(directory / "data", env={"VMPORTAL_ALLOW_TEST_DRIVER": "1"})
    try:
        stack.start()
        register(stack, uris)
        seconds = wait_for_domains(stack, size)
        figures = page_figures(stack, size, browser)
        if with_all:
            figures += watcher_figures(stack, size, seconds)
            figures += paint_figures(stack, size, browser)
            figures += _live(stack, size, browser)
        if with_lab:
            figures += _on_lab(stack, size, directory, browser)
        if with_all:
            # Last: it makes a machine's row of its own.
            figures += hardware_page_figures(stack, browser)
        return figures
    finally:
        stack.stop()


def _live(stack: Stack, size: int, browser: Browser) -> list[Figure]:
    page = signed_in(browser, stack)
    figures = lone_change_figures(stack, page)
    cookie = cookies(page)
    shown = page.evaluate("[...document.querySelectorAll('#list tbody tr')].map((row) => row.dataset.uuid)")
    # Its page would fetch the list anew under each storm.
    page.goto("about:blank")
    figures += storm_figures(stack, cookie, shown)
    figures += crowd_figures(stack, size, cookie)
    page.context.close()
    return figures


def _on_lab(stack: Stack, size: int, directory: Path, browser: Browser) -> list[Figure]:
    try:
        lab = bring_up(LAB, directory / "lab", host_count=2)
        for host in lab.hosts:
            stack.manage("register_hypervisor", "-v", "0", "--pool", "lab", "--name", host.name, "--uri", host.uri)
        guest = define_guest(lab.hosts[0], "measured", start=True)
        guest.wait_until_counting()
        wait_for_domains(stack, size + 1)
        try:
            page = signed_in(browser, stack)
            figures = event_figures(page, lab, guest, size)
            figures += virsh_figures(page, lab, guest, size)
            figures += against_virsh_figures(page, lab, guest)
            figures += screen_figures(stack, page, browser, guest, size)
            figures += upload_figures(stack, lab, page, directory)
            page.context.close()
            return figures
        finally:
            remove_guest(lab.hosts, guest)
    finally:
        plan = find_lab_plan(LAB, None)
        if plan is not None:
            take_down(plan)


def _installs() -> list[Figure]:
    """In a process of its own, which is set up for one stack's database."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run([sys.executable, "-m", "bench.installs", "--json", file.name], check=True)
        return [Figure(**values) for values in json.loads(Path(file.name).read_text())]


def _console() -> list[Figure]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run([sys.executable, "-m", "bench.console_echo", "--json", file.name], check=True)
        report = json.loads(Path(file.name).read_text())
    echo = f"{report['echo_proxy_us']:.0f} µs against {report['echo_raw_us']:.0f}: × {report['echo_times_raw']:.2f}"
    bulk = f"{report['bulk_proxy_mb_per_s']:,.0f} MB/s, {report['bulk_percent_of_raw']:.0f} % of raw TCP"
    met = report["echo_times_raw"] <= 2.5
    return [
        Figure(what="Console's echo against raw TCP, on one core", value=echo, target="× 2.5", met=met),
        Figure(what="Console's bulk", value=bulk),
        Figure(what="Memory of one console in the proxy", value=f"{report['memory_kb_per_session']:.0f} KB"),
    ]


if __name__ == "__main__":
    main()
