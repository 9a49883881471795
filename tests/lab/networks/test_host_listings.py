"""Filters and secrets made, changed and deleted on a real hypervisor, and its devices read; asserted by virsh."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import models

from deploy.lab.process import LabError
from hypervisors.libvirtxml.network_filters import build_network_filter, filter_digest
from hypervisors.libvirtxml.secrets import SecretSpec, build_secret
from hypervisors.models import HostSecret, Hypervisor, NetworkFilter, NodeDevice, Operation
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import OperationState
from tests.lab.portals import Portal, ended
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("operations",)


def do(portal: Portal, kind: str, subject: models.Model, **parameters: Any) -> Operation:
    operation = ended(request_operation(user=portal.alice, kind=kind, subject=subject, parameters=parameters))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    return operation


def test_a_filter_is_made_changed_and_deleted(portal: Portal) -> None:
    host, row = portal.hosts[0], Hypervisor.objects.get(pk=portal.rows[0].pk)
    rows = NetworkFilter.objects.filter(hypervisor=row, name="made-here").select_related("hypervisor")
    try:
        do(portal, "create_network_filter", row, xml=build_network_filter("made-here"))
        made = wait_until(rows.first, seconds=60)
        assert "made-here" in host.virsh("nwfilter-list")
        changed = made.xml.replace("drop", "accept")
        do(portal, "edit_network_filter", made, xml=changed, digest=filter_digest(made.xml))
        assert "accept" in host.virsh("nwfilter-dumpxml", "made-here")
        wait_until(lambda: "accept" in rows.get().xml, seconds=60)
        do(portal, "delete_network_filter", rows.get())
        assert "made-here" not in host.virsh("nwfilter-list")
        wait_until(lambda: not rows.exists(), seconds=60)
    finally:
        _quietly(portal, "nwfilter-undefine", "made-here")


def test_a_secret_gets_its_value_and_is_never_told(portal: Portal) -> None:
    host, row = portal.hosts[0], Hypervisor.objects.get(pk=portal.rows[0].pk)
    said = {"usage_type": "ceph", "usage": "client.lab <&>", "value": "dGhlIHZhbHVl", "is_base64": True}
    made = do(portal, "create_secret", row, **said)
    uuid = made.parameters["uuid"]
    try:
        assert "value" not in Operation.objects.get(pk=made.pk).parameters
        assert uuid in host.virsh("secret-list")
        # libvirt keeps a private one to itself.
        with pytest.raises(LabError, match="is private"):
            host.virsh("secret-get-value", uuid)
        secrets = HostSecret.objects.filter(hypervisor=row, uuid=uuid).select_related("hypervisor")
        secret = wait_until(secrets.first, seconds=60)
        assert secret.usage == "client.lab <&>"
        do(portal, "set_secret_value", secret, value="another")
        do(portal, "delete_secret", secret)
        assert uuid not in host.virsh("secret-list")
        wait_until(lambda: not secrets.exists(), seconds=60)
    finally:
        _quietly(portal, "secret-undefine", uuid)


def test_a_secret_that_virsh_defines_is_shown_though_nobody_asks(portal: Portal, tmp_path: Path) -> None:
    host, uuid = portal.hosts[0], str(uuid4())
    secrets = HostSecret.objects.filter(hypervisor=portal.rows[0].pk, uuid=uuid)
    definition = tmp_path / "secret.xml"
    definition.write_text(build_secret(SecretSpec(uuid=uuid, usage_type="ceph", usage="client.by-virsh")))
    try:
        host.virsh("secret-define", str(definition))
        # Without libvirt's event it would be listed minutes later.
        assert wait_until(secrets.first, seconds=60).usage == "client.by-virsh"
        host.virsh("secret-undefine", uuid)
        wait_until(lambda: not secrets.exists(), seconds=60)
    finally:
        _quietly(portal, "secret-undefine", uuid)


def test_a_hosts_devices_and_interfaces_are_read(portal: Portal) -> None:
    rows = NodeDevice.objects.filter(hypervisor=portal.rows[0].pk)
    wait_until(lambda: rows.filter(interface="eth0").exists(), seconds=60)
    assert {"eth0", "virbr0"} <= set(rows.filter(capability="net").values_list("interface", flat=True))


def _quietly(portal: Portal, *command: str) -> None:
    """Whatever a test left goes."""
    try:
        portal.hosts[0].virsh(*command)
    except LabError:
        return
