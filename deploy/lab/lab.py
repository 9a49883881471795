"""A lab as a whole: bringing it up, reading it, taking it down."""

import concurrent.futures
import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.lab import certificates, network, sign_in, storage
from deploy.lab.boot_image import cached_boot_image
from deploy.lab.capabilities import keep_capabilities
from deploy.lab.guest import DEFAULT_MEMORY_KIB, Guest, define_example_guests, define_guest, remove_guest
from deploy.lab.host import Host
from deploy.lab.host_files import init_path, make_host_files
from deploy.lab.plan import LabPlan, plan_from_json
from deploy.lab.process import LabError, kill, running_script
from deploy.lab.registry import find_plan, find_plan_in, register, unregister


@dataclass(frozen=True, kw_only=True)
class Lab:
    plan: LabPlan
    example_guests: tuple[Guest, ...] = ()

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def hosts(self) -> tuple[Host, ...]:
        return tuple(Host(lab=self.plan, plan=host) for host in self.plan.hosts)

    def host(self, name: str) -> Host:
        """By its name or its number. Raises LabError."""
        for host in self.hosts:
            if name in (host.name, str(host.plan.number), f"host{host.plan.number}"):
                return host
        raise LabError(f"The lab {self.name} has no host {name!r}, only {', '.join(host.name for host in self.hosts)}.")

    def host_running(self, guest: Guest) -> Host | None:
        """The host on which the guest is running right now."""
        for host in self.hosts:
            if guest.uuid in host.virsh("list", "--state-running", "--uuid").split():
                return host
        return None

    @contextlib.contextmanager
    def guest(
        self, host: Host, name: str, *, memory_kib: int = DEFAULT_MEMORY_KIB, vcpu_count: int = 1, start: bool = True
    ) -> Iterator[Guest]:
        """A guest that is removed at the end, wherever it is then. It may not have booted yet."""
        guest = define_guest(host, name, memory_kib=memory_kib, vcpu_count=vcpu_count, start=start)
        try:
            yield guest
        finally:
            remove_guest(self.hosts, guest)


def bring_up(name: str, directory: Path, *, host_count: int, guest_count: int = 0, sasl_host: int = 0) -> Lab:
    """All of it or, when that fails, nothing. One that is up stays as it is; its dead hosts are started.

    Raises:
        LabError: what is missing, or which other lab is in the way.
    """
    _require_root()
    directory = directory.absolute()
    found = find_plan(name)
    if found is not None and found.directory == directory:
        if found.file.exists() and storage.is_mounted(found.shared_path):
            return _revive(found, host_count=host_count, sasl_host=sasl_host)
        take_down(found)
    elif (stale := _plan_in(directory)) and find_plan(stale.name) is None:
        # Of before a restart of the machine, which emptied the registry.
        take_down(stale)
    _require_empty(directory)
    cached_boot_image()
    plan = register(name, directory, host_count=host_count, sasl_host=sasl_host)
    try:
        return _build(plan, guest_count=guest_count)
    except BaseException:
        take_down(plan)
        raise


def load_lab(directory: Path) -> Lab:
    """The lab in a directory. Raises LabError when none is up there."""
    plan = _plan_in(directory.absolute())
    if plan is None or not plan.file.exists():
        raise LabError(f"No lab is up in {directory}.")
    guests = tuple(Guest(**guest) for guest in json.loads(plan.file.read_text())["guests"])
    return Lab(plan=plan, example_guests=guests)


def find_lab_plan(name: str | None, directory: Path | None) -> LabPlan | None:
    """A whole, half-made or crashed lab, by its name or its directory."""
    plan = find_plan(name) if name else None
    if plan is None and directory is not None:
        plan = _plan_in(directory.absolute()) or find_plan_in(directory.absolute())
    return plan


def take_down(plan: LabPlan) -> None:
    """Leave nothing of it, whatever of it there is."""
    _require_root()
    if find_plan(plan.name) in (None, plan):
        _take_down_everything(plan)
    # Only a lab's own directory: plan.json says that it is one.
    if _plan_in(plan.directory) == plan:
        keep_capabilities(plan)
        shutil.rmtree(plan.directory)


def _take_down_everything(plan: LabPlan) -> None:
    for host in (Host(lab=plan, plan=host) for host in plan.hosts):
        host.kill()
    storage.unmount_shared(plan)
    network.remove_namespaces(plan)
    kill([pid for host in plan.hosts for pid in running_script(init_path(host))])
    unregister(plan.name)


def write_lab_file(lab: Lab) -> None:
    """Tell anew what the lab is; the process ids of hosts change as they come and go."""
    plan = lab.plan
    content = {
        "name": plan.name,
        "machine_address": plan.machine_address,
        "shared_path": str(plan.shared_path),
        "pool_path": str(plan.pool_path),
        "serial_path": str(plan.serial_path),
        "pki_path": str(plan.pki_path),
        "ssh_private_key_path": str(plan.ssh_key_path),
        "auth_file_path": str(sign_in.client_file(plan)),
        "hosts": [_host_json(plan, host) for host in lab.hosts],
        "guests": [guest.as_json() for guest in lab.example_guests],
    }
    new = plan.file.with_suffix(".new")
    new.write_text(json.dumps(content, indent=2) + "\n")
    # Root's umask must not hide it from who runs vmportal.
    new.chmod(0o644)
    new.rename(plan.file)


def _build(plan: LabPlan, *, guest_count: int) -> Lab:
    _make_directory(plan)
    certificates.make_authority_and_client(plan)
    sign_in.make_ssh_key(plan)
    sign_in.make_sasl_password(plan)
    storage.mount_shared(plan)
    network.make_switch(plan)
    lab = Lab(plan=plan)
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda host: _begin(plan, host), lab.hosts))
        list(pool.map(Host.wait_until_up, lab.hosts))
    guests = define_example_guests(lab.hosts, guest_count)
    for host in lab.hosts:
        # libvirtd looked into it before the guests' disks were made.
        host.virsh("pool-refresh", storage.POOL_NAME)
    lab = Lab(plan=plan, example_guests=guests)
    write_lab_file(lab)
    return lab


def _begin(plan: LabPlan, host: Host) -> None:
    make_host_files(plan, host.plan)
    host.begin()


def _revive(plan: LabPlan, *, host_count: int, sasl_host: int) -> Lab:
    if (plan.host_count, plan.sasl_host) != (host_count, sasl_host):
        raise LabError(
            f"The lab {plan.name} is up with --hosts {plan.host_count} --sasl-host {plan.sasl_host}: take it down."
        )
    lab = load_lab(plan.directory)
    for host in lab.hosts:
        if not host.is_running():
            host.begin()
            host.wait_until_up()
    write_lab_file(lab)
    return lab


def _require_empty(directory: Path) -> None:
    if directory.exists() and any(directory.iterdir()):
        raise LabError(f"{directory} is not empty: name a directory that does not exist yet.")


def _make_directory(plan: LabPlan) -> None:
    plan.directory.mkdir(parents=True, exist_ok=True)
    plan.directory.chmod(0o755)
    (plan.directory / "plan.json").write_text(plan.as_json())


def _plan_in(directory: Path) -> LabPlan | None:
    try:
        return plan_from_json((directory / "plan.json").read_text())
    except FileNotFoundError:
        return None


def _require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("The lab makes namespaces and mounts: run it as root (sudo python3 deploy/lab …).")


def _host_json(plan: LabPlan, host: Host) -> dict[str, Any]:
    sasl = {"username": sign_in.SASL_USERNAME, "password": sign_in.sasl_password(plan)} if host.plan.sasl else None
    return {
        "name": host.name,
        "address": host.address,
        "uri": host.uri,
        "tls_uri": host.tls_uri,
        "ssh_uri": host.ssh_uri,
        "host_uuid": host.host_uuid,
        "init_pid": host.init_pid() if host.is_running() else None,
        "known_hosts": sign_in.known_hosts_line(host.plan),
        "sasl": sasl,
    }
