"""Cloning, templates and what is made of them: what is refused, what becomes of each disk, and the dialogs."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.errors import Conflict, NotPermitted, NotPossible
from hypervisors.models import AuditRecord, Domain, DomainTemplate, Hypervisor, Network, Operation, StoragePool, Volume
from hypervisors.operations.domains.cloning.plan import clone_plan
from hypervisors.operations.domains.cloning.requests import request_clones
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.states import DomainState
from tests.roles import bind
from tests.rows import define

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HTMX = {"HX-Request": "true"}
GIB = 1024**3


@pytest.fixture
def storage(hypervisor: Hypervisor) -> StoragePool:
    return StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=uuid4(),
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
        available_bytes=50 * GIB,
    )


@pytest.fixture
def machine(domain: Domain, storage: StoragePool) -> Domain:
    """With a disk, a medium and a disk in no storage pool."""
    for name in ("web1.qcow2", "debian.iso"):
        format_ = "iso" if name.endswith("iso") else "qcow2"
        Volume.objects.create(
            storage_pool=storage, name=name, path=f"/images/{name}", format=format_, capacity_bytes=GIB
        )
    disks = {"vda": ("disk", "/images/web1.qcow2"), "sda": ("cdrom", "/images/debian.iso"), "vdb": ("disk", "/loose")}
    devices = "".join(
        f"<disk type='file' device='{device}'><source file='{path}'/><target dev='{target}' bus='virtio'/></disk>"
        for target, (device, path) in disks.items()
    )
    devices += "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>"
    xml = f"<domain type='kvm'><name>web1</name><devices>{devices}</devices></domain>"
    define(domain, live_xml="", inactive_xml=xml)
    return domain


def ask(user: User, domain: Domain, **given: object) -> Operation:
    return request_operation(user=user, kind="clone_domain", subject=domain, parameters={"name": "web2", **given})


def test_each_disk_says_what_becomes_of_it(machine: Domain) -> None:
    plan = clone_plan(machine)
    assert {disk.target: [str(action) for action in disk.actions] for disk in plan.disks} == {
        "vda": ["copy", "skip"],
        "sda": ["share", "empty"],
        "vdb": ["skip"],
    }
    assert "no storage pool" in plan.disks[2].reason
    machine.is_template = True
    assert clone_plan(machine).disks[0].actions[0] == "overlay"


def test_a_clone_has_names_of_its_own_which_it_holds(machine: Domain, alice: User) -> None:
    operation = ask(alice, machine)
    (disk, medium, loose) = operation.parameters["disks"]
    assert (disk["action"], disk["volume_name"], disk["format"]) == ("copy", "web2.qcow2", "qcow2")
    assert (medium["action"], loose["action"]) == ("share", "skip")
    assert operation.parameters["macs"][0].startswith("52:54:00:")
    assert operation.parameters["macs"] != ["52:54:00:00:00:01"]
    kinds = sorted(lock.key.partition(":")[0] for lock in operation.locks.all())
    assert kinds == ["domain", "domain", "mac", "name", "volume"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "a/b"}, "cannot contain"),
        ({"name": "web1"}, "is taken"),
        ({"actions": {"vda": "overlay"}}, "cannot be treated so"),
        ({"actions": {"vdb": "share"}}, "no storage pool"),
        ({"actions": {"vda": "explode"}}, "cannot be treated so"),
        ({"vcpus": 0}, "vCPUs is between"),
        ({"memory_kib": "much"}, "The memory is between"),
        ({"cloud_init": {"user": "Root Of"}}, "small letter"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], reason: str, machine: Domain, alice: User) -> None:
    with pytest.raises(NotPossible, match=reason):
        ask(alice, machine, **given)


def test_what_does_not_fit_is_refused(machine: Domain, alice: User, storage: StoragePool) -> None:
    Volume.objects.filter(name="web1.qcow2").update(allocation_bytes=60 * GIB)
    with pytest.raises(NotPossible, match="does not fit"):
        ask(alice, machine)
    Volume.objects.create(storage_pool=storage, name="web2.qcow2", path="/images/web2.qcow2")
    Volume.objects.filter(name="web1.qcow2").update(allocation_bytes=0)
    with pytest.raises(NotPossible, match="There is a volume called"):
        ask(alice, machine)


def test_bytes_that_are_not_believed_are_not_copied(machine: Domain, alice: User) -> None:
    Volume.objects.filter(name="web1.qcow2").update(quarantine="It was raw, and says now that it is qcow2.")
    with pytest.raises(NotPossible, match="It was raw"):
        ask(alice, machine, actions={"vda": "copy"})


def test_a_password_for_a_copy_is_kept_as_a_hash(machine: Domain, alice: User) -> None:
    operation = ask(alice, machine, cloud_init={"user": "anna", "password": "geheim!"})
    told = operation.parameters["cloud_init"]
    assert (told["password"], told["password_hash"][:3]) == ("", "$6$")


def test_the_disk_of_a_template_is_given_no_other_size(machine: Domain, alice: User) -> None:
    volume = Volume.objects.select_related("storage_pool__hypervisor").get(name="web1.qcow2")
    assert why_not(volume, "resize_volume") == ""
    Domain.objects.filter(pk=machine.pk).update(is_template=True)
    assert "disk of the template “web1”" in why_not(volume, "resize_volume")


def test_who_may_only_use_a_machine_may_not_copy_what_is_on_it(machine: Domain, charlie: User) -> None:
    bind(charlie, "vm-user", machine)
    for kind in ("clone_domain", "make_template", "unmake_template"):
        with pytest.raises(NotPermitted):
            request_operation(user=charlie, kind=kind, subject=machine, parameters={"name": "web2"})


def test_many_are_made_of_a_template_at_once_and_keep_it(machine: Domain, alice: User) -> None:
    machine.is_template = True
    machine.save()
    operations = request_clones(user=alice, domain=machine, names=["a-1", "a-2", "a-3"], parameters={"linked": True})
    assert {operation.parameters["disks"][0]["action"] for operation in operations} == {"overlay"}
    parent = operations[0].parent
    assert parent is not None
    assert parent.progress["children"]["total"] == 3
    assert "is being made of it" in why_not(machine, "delete_domain")
    assert "is being made of it" in why_not(machine, "unmake_template")
    full = request_clones(user=alice, domain=machine, names=["full"], parameters={"linked": False})
    assert full[0].parameters["disks"][0]["action"] == "copy"


def test_of_several_all_are_asked_for_or_none(machine: Domain, alice: User, make_domain: Callable[..., Domain]) -> None:
    make_domain(name="b-2")
    machine.is_template = True
    machine.save()
    with pytest.raises(NotPossible, match=r"b-2: .* is taken"):
        request_clones(user=alice, domain=machine, names=["b-1", "b-2"], parameters={})
    assert not Operation.objects.exists()
    with pytest.raises(Conflict):
        request_clones(user=alice, domain=machine, names=["same", "same"], parameters={})
    assert not Operation.objects.exists()


def test_a_template_is_versioned_by_its_name(
    machine: Domain, alice: User, make_domain: Callable[..., Domain], hypervisor: Hypervisor
) -> None:
    former = make_domain(name="former", is_template=True)
    DomainTemplate.objects.create(hypervisor_pool=hypervisor.hypervisor_pool, name="debian", version=4, domain=former)
    operation = request_operation(
        user=alice, kind="make_template", subject=machine, parameters={"name": "debian", "cloud_init": True}
    )
    assert operation.parameters["version"] == 5
    assert operation.parameters["defaults"] == {"cloud_init": True}
    other = make_domain(name="other")
    with pytest.raises(NotPossible, match="None of its disks"):
        request_operation(user=alice, kind="make_template", subject=other, parameters={"name": "debian"})


def test_what_runs_or_shares_its_disk_becomes_no_template(
    machine: Domain, alice: User, make_domain: Callable[..., Domain]
) -> None:
    assert "It is running" in why_not(make_domain(name="busy", state=DomainState.RUNNING), "make_template")
    other = make_domain(name="db1")
    disk = "<disk type='file' device='disk'><source file='/images/web1.qcow2'/><target dev='vda'/></disk>"
    define(other, live_xml="", inactive_xml=f"<domain><devices>{disk}</devices></domain>")
    with pytest.raises(NotPossible, match=r"is not its alone\. It is in use: vda of “db1”"):
        request_operation(user=alice, kind="make_template", subject=machine)


def test_a_template_starts_never_and_does_not_change(machine: Domain) -> None:
    machine.is_template = True
    for kind in ("start", "set_autostart", "make_template"):
        assert "It is a template" in why_not(machine, kind), kind
    for kind in ("rename", "describe", "clone_domain", "delete_domain", "unmake_template"):
        assert why_not(machine, kind) == "", kind


def test_what_a_template_is_for_comes_first_on_its_page(operator: Client, machine: Domain) -> None:
    machine.is_template = True
    machine.save()
    buttons = operator.get(f"/vms/{machine.uuid}/buttons/").content.decode()
    assert buttons.index("New machine from it…") < buttons.index("Migrate…") < buttons.index("Turn back into a machine")
    for word in ("Start", "Save and stop", "Make it a template"):
        assert word not in buttons, word


def test_the_dialog_clones_one_or_several(operator: Client, machine: Domain) -> None:
    page = operator.get(f"/vms/{machine.uuid}/clone/", headers=HTMX).content.decode()
    assert 'name="disk-vda"' in page
    assert "no storage pool" in page
    assert "Inside, it is the original" in page
    url = f"/vms/{machine.uuid}/clone/"
    refused = operator.post(url, {"name": "web1", "count": "1"}, headers=HTMX)
    assert "is taken" in refused.content.decode()
    assert operator.post(url, {"name": "c", "count": "1", "disk-vda": "skip"}, headers=HTMX).status_code == 204
    assert Operation.objects.get().parameters["disks"][0]["action"] == "skip"


def test_the_dialog_of_a_template_begins_with_its_defaults(operator: Client, machine: Domain) -> None:
    machine.is_template = True
    machine.save()
    assert machine.hypervisor is not None
    template = DomainTemplate.objects.create(
        hypervisor_pool=machine.hypervisor.hypervisor_pool,
        name="debian",
        domain=machine,
        defaults={"vcpus": 3, "memory_kib": 2**20, "cloud_init": True},
    )
    url = f"/vms/{machine.uuid}/clone/"
    page = operator.get(url, headers=HTMX).content.decode()
    for text in ('value="3"', 'value="1024"', "Linked", "checked"):
        assert text in page, text
    Network.objects.create(
        hypervisor=machine.hypervisor, uuid=uuid4(), name="lan", active=True, autostart=True, forward_mode="nat"
    )
    pool = StoragePool.objects.get()
    given = {"name": "n-{n}", "count": "2", "linked": "1", "cloud_init": "on", "user": "ada", "memory_mib": "512"}
    given |= {"network": "lan", "storage_pool_id": str(pool.pk)}
    answer = operator.post(url, given, headers=HTMX)
    assert answer.status_code == 204, answer.content.decode()
    children = Operation.objects.filter(kind="clone_domain")
    assert sorted(child.parameters["name"] for child in children) == ["n-1", "n-2"]
    first = children[0].parameters
    assert (first["memory_kib"], first["cloud_init"]["user"]) == (512 * 1024, "ada")
    assert first["network"] == "lan"
    assert {disk["storage_pool_id"] for disk in first["disks"] if disk["volume_name"]} == {pool.pk}
    assert "debian" in operator.get("/templates/").content.decode()
    page = operator.get(f"/templates/{template.pk}/").content.decode()
    assert "3 vCPUs" in page
    assert "is being made of it" in page


def test_the_dialog_makes_a_template(operator: Client, machine: Domain) -> None:
    url = f"/vms/{machine.uuid}/template/"
    assert "never start again" in operator.get(url, headers=HTMX).content.decode()
    given = {"name": "debian", "description": "With all", "vcpus": "2", "memory_mib": "1024"}
    assert operator.post(url, given, headers=HTMX).status_code == 204
    operation = Operation.objects.get()
    assert operation.parameters["defaults"] == {"vcpus": 2, "memory_kib": 2**20, "cloud_init": False}


def test_what_a_template_gives_can_be_changed_and_that_is_audited(
    operator: Client, client: Client, bob: User, machine: Domain
) -> None:
    machine.is_template = True
    machine.save()
    assert machine.hypervisor is not None
    template = DomainTemplate.objects.create(
        hypervisor_pool=machine.hypervisor.hypervisor_pool,
        name="debian",
        domain=machine,
        defaults={"vcpus": 3, "network": "gone-lan", "cloud_init": True},
    )
    url = f"/templates/{template.pk}/edit/"
    assert f'href="{url}"' in operator.get(f"/templates/{template.pk}/").content.decode()
    dialog = operator.get(url, headers=HTMX).content.decode()
    # A network that its host does not have now stays chosen.
    for text in ('value="3"', '<option value="gone-lan" selected>', "checked"):
        assert text in dialog, text
    given = {"description": "With all", "vcpus": "4", "memory_mib": "2048", "network": "gone-lan"}
    assert operator.post(url, given | {"vcpus": "0"}, headers=HTMX).status_code == 200
    answer = operator.post(url, given, headers=HTMX)
    assert answer.status_code == 204, answer.content.decode()
    assert answer.headers["HX-Redirect"] == f"/templates/{template.pk}/"
    template.refresh_from_db()
    assert template.description == "With all"
    assert template.defaults == {"vcpus": 4, "memory_kib": 2**21, "network": "gone-lan", "cloud_init": False}
    record = AuditRecord.objects.get(action="change_template", outcome="done")
    assert (record.before["vcpus"], record.after["vcpus"]) == (3, 4)
    bind(bob, "viewer")
    client.force_login(bob)
    assert client.post(url, given).status_code == 403


def test_an_empty_list_of_templates_says_how_one_is_made(operator: Client, client: Client, bob: User) -> None:
    assert "No template yet" in operator.get("/templates/").content.decode()
    client.force_login(bob)
    assert "Templates" not in client.get("/vms/").content.decode()
