"""The page of a new virtual machine as a browser has it, and what there is to choose on it."""

from typing import Any
from uuid import UUID

from django.test import Client
from lxml import html

from hypervisors.models import Hypervisor, Network, StoragePool, Volume

HTMX = {"HX-Request": "true"}
GIB = 1024**3
URL = "/vms/new/"


class Form:
    """The form as a browser has it: what is in it, sent back with changes."""

    def __init__(self, client: Client, answer: Any) -> None:
        self.client = client
        self.answer = answer
        self.text = answer.content.decode()
        page = html.fromstring(self.text)
        self.page = page if page.get("id") == "creation" else page.get_element_by_id("creation")
        sent = self.page.form_values()
        self.values: dict[str, Any] = dict(sent)
        for row in ("disk", "interface"):
            self.values[row] = [value for name, value in sent if name == row]

    def send(self, do: str = "check", **changed: str) -> "Form":
        return Form(self.client, self.post(do, **changed))

    def post(self, do: str, **changed: str) -> Any:
        """The answer itself: for what leads elsewhere."""
        return self.client.post(URL, {**self.values, **changed, "do": do}, headers=HTMX)

    def error(self, name: str) -> str:
        return str(self.page.get_element_by_id(f"error-{name}").text_content()).strip()

    def problems(self) -> list[str]:
        """Whatever the page says is wrong."""
        texts = self.page.xpath("//*[contains(@class, 'vp-field-error') or contains(@class, 'vp-summary-error')]")
        return [text for one in texts if (text := one.text_content().strip())]

    def summary(self) -> str:
        return " ".join(self.page.get_element_by_id("creation-summary").text_content().split())


def creation_scene(hypervisor: Hypervisor) -> dict[str, Any]:
    """A host with storage, an ISO, a cloud image and a network."""
    Hypervisor.objects.update(memory_kib=16 * 1024**2, memory_used_kib=4 * 1024**2, cpu_count=8, kvm_available=True)
    storage = StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=UUID(int=1),
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
        capacity_bytes=100 * GIB,
        available_bytes=50 * GIB,
    )
    Network.objects.create(
        hypervisor=hypervisor, uuid=UUID(int=2), name="default", active=True, autostart=True, forward_mode="nat"
    )
    images = {
        name: Volume.objects.create(
            storage_pool=storage, name=file_name, path=f"/images/{file_name}", format=format_, capacity_bytes=2 * GIB
        )
        for name, file_name, format_ in (
            ("iso", "debian-11.6.0-amd64-netinst.iso", "iso"),
            ("windows", "Win11_23H2_English_x64.iso", "iso"),
            ("image", "debian-11-genericcloud-amd64.qcow2", "qcow2"),
            ("vmdk", "old.vmdk", "vmdk"),
        )
    }
    return {"storage": storage, **images}
