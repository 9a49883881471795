"""The lab's network: a switch in a namespace of its own, a port for each host, one link to the machine.

There the switch is out of reach of the machine's firewall, which may drop bridged packets (Docker's does).
"""

import contextlib
from pathlib import Path

from deploy.lab.plan import HostPlan, LabPlan
from deploy.lab.process import LabError, run

_BRIDGE = "switch"


def make_switch(plan: LabPlan) -> None:
    switch, link = plan.switch_namespace, plan.machine_link
    run("ip", "netns", "add", switch)
    run("ip", "-n", switch, "link", "add", _BRIDGE, "type", "bridge", "forward_delay", "0")
    run("ip", "-n", switch, "link", "set", _BRIDGE, "up")
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "machine", "netns", switch)
    run("ip", "-n", switch, "link", "set", "machine", "master", _BRIDGE, "up")
    run("ip", "addr", "add", f"{plan.machine_address}/24", "dev", link)
    run("ip", "link", "set", link, "up")


def plug_in(plan: LabPlan, host: HostPlan) -> None:
    """Make the host's namespace, with its address on the switch. One of an earlier run goes, with its links."""
    inside, switch = host.namespace, plan.switch_namespace
    unplug(plan, host)
    run("ip", "netns", "add", inside)
    run(
        *("ip", "-n", switch, "link", "add", host.switch_port, "type", "veth"),
        *("peer", "name", "eth0", "address", host.mac, "netns", inside),
    )
    run("ip", "-n", switch, "link", "set", host.switch_port, "master", _BRIDGE, "up")
    run("ip", "-n", inside, "addr", "add", f"{host.address}/24", "dev", "eth0")
    run("ip", "-n", inside, "link", "set", "eth0", "up")
    run("ip", "-n", inside, "link", "set", "lo", "up")
    run("ip", "-n", inside, "route", "add", "default", "via", plan.machine_address)


def set_link(plan: LabPlan, host: HostPlan, *, up: bool) -> None:
    run("ip", "-n", plan.switch_namespace, "link", "set", host.switch_port, "up" if up else "down")


def unplug(plan: LabPlan, host: HostPlan) -> None:
    """Links are removed by name, here and below: the kernel takes its time with those of a lost namespace."""
    _try("ip", "-n", plan.switch_namespace, "link", "del", host.switch_port)
    _remove_namespace(host.namespace)


def remove_namespaces(plan: LabPlan) -> None:
    """Whatever of it there is."""
    for host in plan.hosts:
        unplug(plan, host)
    # By its far end, whose namespace is this lab's for certain.
    _try("ip", "-n", plan.switch_namespace, "link", "del", "machine")
    _remove_namespace(plan.switch_namespace)


def _remove_namespace(namespace: str) -> None:
    if Path(f"/run/netns/{namespace}").exists():
        run("ip", "netns", "del", namespace)


def _try(*command: str) -> None:
    with contextlib.suppress(LabError):
        run(*command)
