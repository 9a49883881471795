"""Encrypted volumes made of XML by a real worker: what virsh says of them, and what keeps their secret."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.lab.process import LabError
from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.secrets import SecretSpec, build_secret
from hypervisors.models import HostSecret, StoragePool, Volume
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.storage.secret_uses import secret_users
from hypervisors.operations.storage.volume_xml_readings import volume_xml
from hypervisors.states import OperationState
from tests.lab.portals import Portal, ended
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("operations", "storage")
POOL, NAME = "shared", "vault.luks"
MIB = 1024**2


@pytest.fixture
def secret(portal: Portal, tmp_path: Path) -> Iterator[HostSecret]:
    """One that virsh has made on the first host, with a value."""
    host, uuid = portal.hosts[0], str(uuid4())
    (tmp_path / "secret.xml").write_text(build_secret(SecretSpec(uuid=uuid, usage_type="volume", usage="vault")))
    (tmp_path / "value").write_text("s3cret")
    host.virsh("secret-define", str(tmp_path / "secret.xml"))
    try:
        host.virsh("secret-set-value", uuid, "--file", str(tmp_path / "value"), "--plain")
        rows = HostSecret.objects.filter(hypervisor=portal.rows[0].pk, uuid=uuid).select_related("hypervisor")
        yield wait_until(rows.first, seconds=60)
    finally:
        _quietly(portal, "vol-delete", NAME, "--pool", POOL)
        _quietly(portal, "secret-undefine", uuid)


def test_an_encrypted_volume_is_made_of_xml_shown_and_keeps_its_secret(portal: Portal, secret: HostSecret) -> None:
    host = portal.hosts[0]
    pools = StoragePool.objects.filter(name=POOL, active=True, hypervisor=portal.rows[0].pk).select_related(
        "hypervisor"
    )
    xml = (
        f"<volume><name>{NAME}</name><capacity unit='MiB'>8</capacity><allocation>0</allocation><target>"
        f"<format type='raw'/><encryption format='luks'><secret type='passphrase' uuid='{secret.uuid}'/></encryption>"
        "</target></volume>"
    )
    asked = {"kind": "create_volume_xml", "subject": wait_until(pools.first, seconds=60), "parameters": {"xml": xml}}
    for _try in range(10):
        made = ended(request_operation(user=portal.alice, **asked))
        # QEMU measures how fast it is to choose a cost, and gives up where a busy computer's clock is too coarse.
        if "accurate CPU usage" not in made.outcome:
            break
    assert (made.state, made.outcome) == (OperationState.SUCCEEDED, "It is created.")
    path = host.virsh("vol-path", NAME, "--pool", POOL)
    image = json.loads(host.run("qemu-img", "info", "--output=json", path))
    assert (image["format"], image["virtual-size"]) == ("luks", 8 * MIB)
    # libvirt has read the storage pool again, and names the secret no more.
    assert str(secret.uuid) not in host.virsh("vol-dumpxml", NAME, "--pool", POOL)
    volumes = Volume.objects.present().filter(storage_pool=asked["subject"], name=NAME, encryption="luks")
    volume = wait_until(volumes.select_related("storage_pool__hypervisor").first, seconds=60)
    assert secret_users(secret) == [f"{POOL}/{NAME}"]
    with pytest.raises(NotPossible, match=f"the volume “{POOL}/{NAME}”"):
        request_operation(user=portal.alice, kind="delete_secret", subject=secret)
    shown = wait_until(lambda: volume_xml(volume).xml, seconds=60)
    assert "<encryption format='luks'>" in shown
    assert path in shown


def _quietly(portal: Portal, *command: str) -> None:
    """Whatever a test left goes."""
    try:
        portal.hosts[0].virsh(*command)
    except LabError:
        return
