"""A portal without its pages: two hosts of the lab with a watcher, a sweep and workers, and guests to operate on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.db import connection

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.host import Host
from deploy.lab.lab import Lab
from hypervisors.models import Domain, Hypervisor, HypervisorPool, Operation
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.engine.sweep import run_sweeper
from hypervisors.states import DomainState, HypervisorStatus
from tests.watching import running_watcher, wait_for_status, wait_until


class Portal:
    """Two hosts, watched, and alice who operates them."""

    def __init__(self, lab: Lab, alice: User) -> None:
        self.alice = alice
        self.hosts = [host for host in lab.hosts if not host.plan.sasl][:2]
        pool = HypervisorPool.objects.create(name="lab")
        self.rows = [Hypervisor.objects.create(hypervisor_pool=pool, name=h.name, uri=h.uri) for h in self.hosts]

    def wait_until_online(self) -> None:
        for row in self.rows:
            wait_for_status(row, HypervisorStatus.ONLINE, seconds=30)

    @contextmanager
    def guest(
        self, name: str, *, start: bool = True, on: Host | None = None, **made_as: Any
    ) -> Iterator["PortalGuest"]:
        """One on that host, by default the first, mirrored; running ones have booted and count.

        `made_as`: of deploy.lab.guest.define_guest.
        """
        made = define_guest(on or self.hosts[0], name, start=start, **made_as)
        try:
            guest = PortalGuest(self, made)
            guest.becomes(state=DomainState.RUNNING if start else DomainState.SHUTOFF)
            if start:
                guest.wait_until_it_counts()
            yield guest
        finally:
            remove_guest(self.hosts, made)

    @contextmanager
    def deaf_guest(self, name: str, directory: Path) -> Iterator["PortalGuest"]:
        """One that runs on the first host without an operating system, so that nobody hears the power button."""
        files = {"disk_path": str(directory / "none"), "serial_log_path": str(directory / "none.log")}
        made = Guest(name=name, uuid=str(uuid4()), host_name=self.hosts[0].name, **files)
        (directory / "domain.xml").write_text(
            f"<domain type='qemu'><name>{made.name}</name><uuid>{made.uuid}</uuid><memory unit='MiB'>32</memory>"
            "<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features></domain>"
        )
        try:
            self.hosts[0].virsh("define", str(directory / "domain.xml"))
            self.hosts[0].virsh("start", made.uuid)
            guest = PortalGuest(self, made)
            guest.becomes(state=DomainState.RUNNING)
            yield guest
        finally:
            remove_guest(self.hosts, made)


class PortalGuest:
    """A guest of the lab, its row, and what is asked of it."""

    def __init__(self, portal: Portal, lab_guest: Guest) -> None:
        self.portal = portal
        self.lab_guest = lab_guest
        self.uuid = lab_guest.uuid

    @property
    def row(self) -> Domain | None:
        return Domain.objects.select_related("hypervisor", "definition").filter(uuid=self.uuid).first()

    def becomes(self, *, seconds: float = 40, **fields: object) -> Domain:
        """The row, once it has these values."""

        def fitting() -> Domain | None:
            row = self.row
            fits = row is not None and all(getattr(row, name) == value for name, value in fields.items())
            return row if fits else None

        row: Domain = wait_until(fitting, seconds=seconds)
        return row

    def wait_until_it_counts(self) -> int:
        """Its latest number, which is greater than those it had counted when this was called."""
        counted = len(self.lab_guest.counts())
        wait_until(lambda: len(self.lab_guest.counts()) > counted, seconds=150)
        return self.lab_guest.counts()[-1]

    def ask(self, kind: str, *, target: Hypervisor | None = None, **parameters: Any) -> Operation:
        row = self.row
        assert row is not None
        return request_operation(
            user=self.portal.alice, subject=row, kind=kind, parameters=parameters, target_hypervisor=target
        )

    def do(self, kind: str, *, target: Hypervisor | None = None, **parameters: Any) -> Operation:
        """Ask, and wait until it is over."""
        return ended(self.ask(kind, target=target, **parameters))

    def state_on(self, host: Host) -> str:
        """What virsh says; empty where it is not."""
        present = self.uuid in host.virsh("list", "--all", "--uuid").split()
        return host.virsh("domstate", self.uuid) if present else ""


@contextmanager
def running_portal(lab: Lab, alice: User) -> Iterator[Portal]:
    stopping = threading.Event()
    sweeper = threading.Thread(target=run_sweeper, args=(stopping,), name="sweeper")
    portal = Portal(lab, alice)
    with running_watcher():
        portal.wait_until_online()
        sweeper.start()
        try:
            yield portal
        finally:
            stopping.set()
            sweeper.join(20)
            connection.close()


def ended(operation: Operation, *, seconds: float = 90) -> Operation:
    """The operation as its row is when it is over."""
    return wait_for_operation(operation, lambda row: row.is_finished, seconds=seconds)


def wait_for_operation(
    operation: Operation, condition: Callable[[Operation], bool], *, seconds: float = 60
) -> Operation:
    """The row, once the condition holds."""

    def fitting() -> Operation | None:
        row = Operation.objects.get(pk=operation.pk)
        return row if condition(row) else None

    try:
        row: Operation = wait_until(fitting, seconds=seconds)
    except AssertionError:
        row = Operation.objects.get(pk=operation.pk)
        raise AssertionError(
            f"{row.kind} is {row.state} after {seconds:.0f} s: {row.outcome} {row.progress} {row.steps}"
        ) from None
    return row
