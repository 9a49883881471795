"""Deleting a machine: which of its disks go and why others stay, what is refused, and what is left afterwards."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.administration.delete_protection import protect_from_deletion
from hypervisors.errors import Conflict, NotPermitted, NotPossible
from hypervisors.inventory.storage.origins import note_origin
from hypervisors.models import (
    Domain,
    DomainDefinition,
    Hypervisor,
    Installation,
    Operation,
    Role,
    RoleBinding,
    StoragePool,
    Volume,
    VolumeReference,
)
from hypervisors.models.access import AuditRecord, Scope
from hypervisors.operations.domains.deletion.outcomes import leftovers
from hypervisors.operations.domains.deletion.plan import deletion_plan
from hypervisors.operations.engine.requests import request_of_many, request_operation, why_not
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.states import DomainState
from tests.roles import bind
from tests.rows import define, make_operation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
IMAGES = "/images"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def storage(hypervisor: Hypervisor) -> StoragePool:
    return StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=uuid4(),
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path=IMAGES,
    )


@pytest.fixture
def make_volume(storage: StoragePool) -> Callable[..., Volume]:
    def make(name: str, **fields: object) -> Volume:
        values = {"path": f"{IMAGES}/{name}", "format": "qcow2", "allocation_bytes": 2**20} | fields
        return Volume.objects.create(storage_pool=storage, name=name, **values)

    return make


def with_disks(domain: Domain, *disks: str, devices: str = "") -> Domain:
    """Its definition, with these disks."""
    xml = f"<domain type='kvm'><name>{domain.name}</name><uuid>{domain.uuid}</uuid><os><type>hvm</type></os><devices>"
    xml += "".join(disks) + devices + "</devices></domain>"
    define(domain, live_xml="", inactive_xml=xml)
    return domain


def disk(name: str, target: str = "vda", *, device: str = "disk", extra: str = "", kind: str = "file") -> str:
    source = f"file='{IMAGES}/{name}'" if kind == "file" else f"dev='{name}'"
    return (
        f"<disk type='{kind}' device='{device}'><source {source}/><target dev='{target}' bus='virtio'/>{extra}</disk>"
    )


def ask(user: User, domain: Domain, **parameters: object) -> Operation:
    return request_operation(user=user, kind="delete_domain", subject=domain, parameters=parameters)


def test_its_own_disks_are_chosen_and_all_others_say_why_they_stay(
    domain: Domain, make_domain: Callable[..., Domain], make_volume: Callable[..., Volume]
) -> None:
    for name in ("own.qcow2", "cd.iso", "ro.img", "both.img", "other.qcow2", "base.qcow2"):
        make_volume(name)
    make_volume("top.qcow2", backing_path=f"{IMAGES}/base.qcow2")
    with_disks(make_domain(name="db1"), disk("other.qcow2", "vdz"))
    with_disks(
        domain,
        disk("own.qcow2"),
        disk("cd.iso", "sda", device="cdrom"),
        disk("ro.img", "vdb", extra="<readonly/>"),
        disk("both.img", "vdc", extra="<shareable/>"),
        disk("other.qcow2", "vdd"),
        disk("base.qcow2", "vde"),
        disk("/dev/sdb", "vdf", kind="block"),
        disk("loose.img", "vdg"),
        "<disk type='file' device='cdrom'><target dev='sdb'/></disk>",
    )
    plan = deletion_plan(domain)
    said = {one.name: (one.is_chosen, " ".join(one.notes), one.obstacle) for one in plan.disks}
    assert [name for name, (is_chosen, _notes, _obstacle) in said.items() if is_chosen] == ["own.qcow2", "loose.img"]
    assert "a medium" in said["cd.iso"][1]
    assert "read-only" in said["ro.img"][1]
    assert "shared" in said["both.img"][1]
    assert said["other.qcow2"][2] == "It is in use: vdz of “db1” on host1 (off)."
    assert "top.qcow2" in said["base.qcow2"][2]
    assert "no storage pool" in said["sdb"][2]
    assert [one.is_loose for one in plan.disks if one.name == "loose.img"] == [True]


def test_what_its_first_boot_needed_goes_along_and_is_no_disk(
    domain: Domain, alice: User, storage: StoragePool, make_volume: Callable[..., Volume]
) -> None:
    make_volume("web1-seed.iso")
    with_disks(domain, disk("web1-seed.iso", "sda", device="cdrom"))
    Installation.objects.create(
        uuid=domain.uuid,
        hypervisor_pool=storage.hypervisor.hypervisor_pool,
        hypervisor=storage.hypervisor,
        phase="seeded",
        files=[{"storage_pool": storage.pk, "name": "web1-seed.iso"}],
    )
    plan = deletion_plan(domain)
    assert plan.disks == ()
    assert "web1-seed.iso" in " ".join(plan.goes_along)
    (doomed,) = ask(alice, domain).parameters["disks"]
    assert (doomed["volume"], doomed["is_file"]) == ("web1-seed.iso", True)


def test_what_goes_besides_is_said(domain: Domain) -> None:
    with_disks(domain, devices="<tpm model='tpm-crb'><backend type='emulator'/></tpm>")
    definition = DomainDefinition.objects.get(domain=domain)
    definition.inactive_parsed |= {"keeps_uefi_variables": True}
    definition.save()
    domain.has_managed_save = True
    said = " ".join(deletion_plan(domain).goes_along)
    for word in ("UEFI", "TPM", "saved state"):
        assert word in said
    assert "snapshots" not in said


def test_a_disk_that_others_need_is_refused_in_the_service(
    domain: Domain, alice: User, make_domain: Callable[..., Domain], make_volume: Callable[..., Volume]
) -> None:
    make_volume("own.qcow2")
    with_disks(make_domain(name="db1"), disk("own.qcow2"))
    with_disks(domain, disk("own.qcow2"))
    with pytest.raises(NotPossible, match=r"“own\.qcow2” stays: It is in use: vda of “db1”"):
        ask(alice, domain, disks=[f"{IMAGES}/own.qcow2"])
    assert ask(alice, domain, own_disks=True).parameters["disks"] == []


def test_what_is_none_of_its_disks_is_refused(domain: Domain, alice: User, make_volume: Callable[..., Volume]) -> None:
    make_volume("somebodys.qcow2")
    with pytest.raises(NotPossible, match="none of its disks"):
        ask(alice, with_disks(domain), disks=[f"{IMAGES}/somebodys.qcow2"])


def test_a_running_one_is_deleted_only_on_purpose(alice: User, make_domain: Callable[..., Domain]) -> None:
    running = make_domain(name="busy", state=DomainState.RUNNING)
    with pytest.raises(NotPossible, match="It is running"):
        ask(alice, running)
    assert ask(alice, running, force_off=True).parameters == {"disks": [], "force_off": True}


def test_it_holds_its_disks_while_it_is_deleted(
    domain: Domain, alice: User, make_volume: Callable[..., Volume]
) -> None:
    volume = make_volume("own.qcow2")
    operation = ask(alice, with_disks(domain, disk("own.qcow2")), own_disks=True)
    assert {lock.key.partition(":")[0] for lock in operation.locks.all()} == {"domain", "volume"}
    VolumeReference.objects.all().delete()
    with pytest.raises(Conflict, match="“Delete”"):
        request_operation(user=alice, kind="delete_volume", subject=volume)


def test_protection_refuses_it_until_it_is_taken_back(domain: Domain, alice: User, bob: User) -> None:
    with pytest.raises(NotPermitted):
        protect_from_deletion(bob, domain, protected=True)
    assert protect_from_deletion(alice, domain, protected=True)
    assert not protect_from_deletion(alice, domain, protected=True)
    assert AuditRecord.objects.latest("pk").after == {"delete_protected": True}
    with pytest.raises(NotPossible, match="protected from deletion"):
        ask(alice, Domain.objects.get(pk=domain.pk))
    protect_from_deletion(alice, domain, protected=False)
    assert ask(alice, Domain.objects.get(pk=domain.pk))


def test_a_file_in_no_storage_pool_needs_who_manages_the_storage(domain: Domain, charlie: User) -> None:
    role = Role.objects.create(key="owner", name="Owner", privileges=["domain.view", "domain.delete"])
    RoleBinding.objects.create(user=charlie, role=role, scope=Scope.DOMAIN, domain=domain)
    with_disks(domain, disk("loose.img"))
    with pytest.raises(NotPermitted):
        ask(charlie, domain, disks=[f"{IMAGES}/loose.img"])
    assert ask(charlie, domain).parameters["disks"] == []


def test_a_medium_of_the_library_needs_who_manages_the_storage(
    domain: Domain, charlie: User, make_volume: Callable[..., Volume]
) -> None:
    role = Role.objects.create(key="owner", name="Owner", privileges=["domain.view", "domain.delete"])
    RoleBinding.objects.create(user=charlie, role=role, scope=Scope.DOMAIN, domain=domain)
    for name in ("cd.iso", "own.qcow2"):
        make_volume(name)
    with_disks(domain, disk("cd.iso", "sda", device="cdrom"), disk("own.qcow2"))
    with pytest.raises(NotPermitted):
        ask(charlie, domain, disks=[f"{IMAGES}/cd.iso", f"{IMAGES}/own.qcow2"])
    assert len(ask(charlie, domain, disks=[f"{IMAGES}/own.qcow2"]).parameters["disks"]) == 1


def test_who_uses_a_machine_may_not_delete_it(domain: Domain, charlie: User, client: Client) -> None:
    bind(charlie, "vm-user", domain)
    with pytest.raises(NotPermitted):
        ask(charlie, domain)
    client.force_login(charlie)
    assert "Delete" not in client.get(f"/vms/{domain.uuid}/buttons/").content.decode()


def test_a_template_with_linked_clones_names_them(
    domain: Domain, alice: User, make_domain: Callable[..., Domain], make_volume: Callable[..., Volume]
) -> None:
    make_volume("base.qcow2")
    make_volume("clone1.qcow2", backing_path=f"{IMAGES}/base.qcow2")
    with_disks(make_domain(name="clone1"), disk("clone1.qcow2"))
    with_disks(domain, disk("base.qcow2"))
    domain.is_template = True
    assert why_not(domain, "delete_domain") == "Linked clones are on top of its disks: “clone1”."
    assert "template" in why_not(domain, "start")
    Volume.objects.filter(name="clone1.qcow2").update(vanished_at=timezone.now())
    assert why_not(domain, "delete_domain") == ""


def test_what_is_left_is_known_from_the_latest_deletion_and_tried_again(
    domain: Domain, hypervisor: Hypervisor, storage: StoragePool, alice: User
) -> None:
    stays = {"source": "/images/b", "storage_pool_uuid": str(storage.uuid), "volume": "b", "is_file": False}
    make_operation(
        domain=domain,
        hypervisor=hypervisor,
        kind="delete_domain",
        state="failed",
        parameters={"disks": [{"source": "/images/a", "volume": "a"}, stays]},
        steps=[
            {"name": "volume_1", "state": "done", "label": "", "made": {}},
            {"name": "volume_2", "state": "done", "label": "", "made": {"problem": "It is in use."}},
        ],
    )
    assert [(one.disk.source, one.reason) for one in leftovers(domain)] == [("/images/b", "It is in use.")]
    assert why_not(domain, "delete_leftovers") == "It is not deleted."
    domain.vanished_at = timezone.now()
    domain.save()
    again = request_operation(user=alice, kind="delete_leftovers", subject=domain)
    assert again.parameters["disks"] == [stays]
    assert {lock.key for lock in again.locks.all()} >= {volume_lock_key(storage, "b")}
    assert leftovers(domain) == []


def test_a_volume_made_since_under_the_name_of_what_was_left_is_not_left(
    domain: Domain, hypervisor: Hypervisor, storage: StoragePool, alice: User
) -> None:
    stays = {"source": "/images/b", "storage_pool_uuid": str(storage.uuid), "volume": "b"}
    make_operation(
        domain=domain, hypervisor=hypervisor, kind="delete_domain", state="failed", parameters={"disks": [stays]}
    )
    domain.vanished_at = timezone.now()
    domain.save()
    note_origin(storage, "b", format_="qcow2")
    assert leftovers(domain) == []
    with pytest.raises(NotPossible, match="Nothing is known to be left"):
        request_operation(user=alice, kind="delete_leftovers", subject=domain)


def test_of_many_the_protected_and_the_running_are_named(alice: User, make_domain: Callable[..., Domain]) -> None:
    off = make_domain(name="off")
    running = make_domain(name="on", state=DomainState.RUNNING)
    kept = make_domain(name="kept", delete_protected=True)
    bulk = request_of_many(user=alice, kind="delete_domain", subjects=[off, running, kept])
    assert [operation.subject_name for operation in bulk.accepted] == ["off"]
    assert {str(subject): reason.split(":")[0] for subject, reason in bulk.refusals} == {
        "kept": "It is protected from deletion; take the protection back first.",
        "on": "It is running",
    }


def test_the_dialog_ticks_what_goes_and_names_what_stays(
    operator: Client, domain: Domain, make_domain: Callable[..., Domain], make_volume: Callable[..., Volume]
) -> None:
    make_volume("own.qcow2")
    make_volume("shared.qcow2")
    with_disks(make_domain(name="db1"), disk("shared.qcow2"))
    with_disks(domain, disk("own.qcow2"), disk("shared.qcow2", "vdb"))
    page = operator.get(f"/vms/{domain.uuid}/delete/", headers=HTMX).content.decode()
    assert f'value="{IMAGES}/own.qcow2" aria-describedby="disk-1" checked' in page
    assert f'value="{IMAGES}/shared.qcow2" aria-describedby="disk-2" disabled' in page
    assert "vda of “db1”" in page
    assert 'name="force_off"' not in page
    refused = operator.post(f"/vms/{domain.uuid}/delete/", {"disk": [f"{IMAGES}/shared.qcow2"]}, headers=HTMX)
    assert "stays: It is in use" in refused.content.decode()
    accepted = operator.post(f"/vms/{domain.uuid}/delete/", {"disk": [f"{IMAGES}/own.qcow2"]}, headers=HTMX)
    assert accepted.status_code == 204
    assert Operation.objects.get().parameters["disks"][0]["volume"] == "own.qcow2"


def test_the_preflight_of_many_counts_and_changes_nothing(operator: Client, make_domain: Callable[..., Domain]) -> None:
    machines = [make_domain(name="a"), make_domain(name="b"), make_domain(name="kept", delete_protected=True)]
    chosen = {"uuid": [str(one.uuid) for one in machines]}
    page = operator.post("/vms/delete/", chosen, headers=HTMX).content.decode()
    assert "Delete 2 machines; skip 1" in page
    assert "It is protected from deletion" in page
    assert not Operation.objects.exists()
    assert operator.post("/vms/delete/", chosen | {"confirmed": "1"}, headers=HTMX).status_code == 200
    assert sorted(Operation.objects.exclude(kind="bulk").values_list("subject_name", flat=True)) == ["a", "b"]
    assert operator.post("/vms/operations/delete_domain/", chosen).status_code == 404


def test_the_protection_is_a_click(operator: Client, domain: Domain) -> None:
    assert "Protect from deletion" in operator.get(f"/vms/{domain.uuid}/buttons/").content.decode()
    url = f"/vms/{domain.uuid}/delete-protection/"
    assert operator.post(url, {"protected": "1"}, headers=HTMX).status_code == 204
    buttons = operator.get(f"/vms/{domain.uuid}/buttons/").content.decode()
    assert "Allow deletion" in buttons
    assert "It is protected from deletion" in buttons
    assert operator.post(url, {"protected": ""}, headers=HTMX).status_code == 204
    assert not Domain.objects.get(pk=domain.pk).delete_protected


def test_a_machine_that_is_gone_shows_what_is_left_to_who_may_delete_it(
    operator: Client, client: Client, domain: Domain, hypervisor: Hypervisor, bob: User
) -> None:
    make_operation(
        domain=domain,
        hypervisor=hypervisor,
        kind="delete_domain",
        state="failed",
        parameters={"disks": [{"source": "/images/left.img"}]},
    )
    Domain.objects.filter(pk=domain.pk).update(vanished_at=timezone.now())
    assert "left.img" in operator.get(f"/vms/{domain.uuid}/").content.decode()
    client.force_login(bob)
    assert "left.img" not in client.get(f"/vms/{domain.uuid}/").content.decode()


def test_a_template_s_own_disks_are_not_foreign_for_being_read_only(
    domain: Domain, charlie: User, make_volume: Callable[..., Volume]
) -> None:
    role = Role.objects.create(key="owner", name="Owner", privileges=["domain.view", "domain.delete"])
    RoleBinding.objects.create(user=charlie, role=role, scope=Scope.DOMAIN, domain=domain)
    make_volume("own.qcow2")
    with_disks(domain, disk("own.qcow2", extra="<readonly/>"))
    with pytest.raises(NotPermitted):
        ask(charlie, domain, disks=[f"{IMAGES}/own.qcow2"])
    Domain.objects.filter(pk=domain.pk).update(is_template=True)
    template = Domain.objects.select_related("hypervisor").get(pk=domain.pk)
    assert len(ask(charlie, template, disks=[f"{IMAGES}/own.qcow2"]).parameters["disks"]) == 1
