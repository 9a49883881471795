"""Faults: what goes wrong with real hosts, done to the lab's on purpose, and undone."""

import contextlib
from collections.abc import Callable, Iterator

from deploy.lab import network, process
from deploy.lab.host import Host


def freeze(host: Host) -> None:
    """Its libvirtd takes connections and answers nothing."""
    process.freeze(host.libvirtd_pid())


def thaw(host: Host) -> None:
    process.thaw(host.libvirtd_pid())


def cut(host: Host) -> None:
    """Its cable is out; the guests run on."""
    network.set_link(host.lab, host.plan, up=False)


def mend(host: Host) -> None:
    network.set_link(host.lab, host.plan, up=True)


def kill_libvirtd(host: Host) -> None:
    """Nothing listens on its port any more; its guests run on."""
    process.kill([host.libvirtd_pid()])
    process.wait_until(lambda: not host.accepts(), 10, waiting_for=f"nobody listening on {host.name}")


def start_libvirtd(host: Host) -> None:
    host.start_libvirtd()


def kill_host(host: Host) -> None:
    """Power failure: its guests are gone, what it had written down stays."""
    host.kill()


def start_host(host: Host) -> None:
    host.begin()
    host.wait_until_up()


def freeze_qemu(host: Host, domain: str) -> None:
    """The guest's QEMU answers libvirtd no more."""
    process.freeze(host.qemu_pid(domain))


def thaw_qemu(host: Host, domain: str) -> None:
    process.thaw(host.qemu_pid(domain))


@contextlib.contextmanager
def during(begin: Callable[..., None], end: Callable[..., None], *arguments: object) -> Iterator[None]:
    """A fault that is undone at the end, come what may: `with during(cut, mend, host):`."""
    begin(*arguments)
    try:
        yield
    finally:
        end(*arguments)


HOST_FAULTS: dict[str, Callable[[Host], None]] = {
    "freeze": freeze,
    "thaw": thaw,
    "cut": cut,
    "mend": mend,
    "kill-libvirtd": kill_libvirtd,
    "start-libvirtd": start_libvirtd,
    "kill-host": kill_host,
    "start-host": start_host,
}
QEMU_FAULTS: dict[str, Callable[[Host, str], None]] = {"freeze-qemu": freeze_qemu, "thaw-qemu": thaw_qemu}
