"""Names, titles and reasons come from hypervisors: none turns the text around it, or passes for another's.

With an override of the writing direction in each of them, every page is looked through: a name stands alone in its
element, which the style sheet isolates, or has what is invisible in it shown.
"""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone
from lxml import html

from deploy.environment import REPOSITORY
from hypervisors.models import Domain, DomainCopy, Hypervisor, HypervisorPool, Network, StoragePool, Volume
from hypervisors.web.naming import visible
from tests.doors import address, all_routes
from tests.rows import make_operation

OVERRIDE = "\u202e"
# What is sent back as it is: form fields, and what the page's own elements show by themselves.
RAW_ATTRIBUTES = {"value", "data-confirm-name", "data-confirm-host", "data-confirm-title", "placeholder"}
# One name and nothing else.
ALONE = re.compile(rf"[\w/.]*{OVERRIDE}[\w/.]*")
ROUTES = all_routes()
pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture
def scene(db: None) -> dict[str, Any]:
    pool = HypervisorPool.objects.create(name=f"rack{OVERRIDE}1")
    fields = {"hypervisor_pool": pool, "status": "online", "architecture": "x86_64"}
    host, other = (
        Hypervisor.objects.create(name=f"host{OVERRIDE}{n}", uri=f"qemu+tcp://h{n}/system", **fields) for n in (1, 2)
    )
    domain = Domain.objects.create(
        uuid=uuid4(),
        hypervisor=host,
        name=f"web{OVERRIDE}1",
        title=f"db{OVERRIDE}1",
        state="running",
        state_since=timezone.now(),
        memory_kib=1,
    )
    domain.trouble = f"paused: {visible(domain.name)}"
    domain.save()
    DomainCopy.objects.create(domain=domain, hypervisor=other, name=f"copy{OVERRIDE}", state="shutoff")
    storage = StoragePool.objects.create(
        hypervisor=host, uuid=uuid4(), name=f"img{OVERRIDE}", pool_type="dir", active=True, autostart=True
    )
    Network.objects.create(hypervisor=host, uuid=uuid4(), name=f"net{OVERRIDE}", active=True, autostart=True)
    volume = Volume.objects.create(storage_pool=storage, name=f"disk{OVERRIDE}.img", key="/x", path=f"/x/d{OVERRIDE}")
    operation = make_operation(domain=domain, hypervisor=host, target_hypervisor=other, kind="migrate", state="running")
    make_operation(
        domain=None,
        subject_type="volume",
        subject_key=str(volume.pk),
        subject_name=f"img{OVERRIDE}/d",
        hypervisor=host,
        kind="create_volume",
        state="failed",
        outcome=f"“disk{OVERRIDE}” is in use",
    )
    return {
        "hypervisors/pools": pool.pk,
        "hypervisors": host.pk,
        "tree": host.pk,
        "storage/volumes": volume.pk,
        "storage": storage.pk,
        "uuid": domain.uuid,
        "operation_id": operation.pk,
        "kind": "rename",
    }


@pytest.fixture
def admin(db: None, client: Client) -> User:
    admin = User.objects.create_superuser("admin")
    client.force_login(admin)
    return admin


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "part"])
@pytest.mark.parametrize(("route", "pattern"), ROUTES.items(), ids=ROUTES)
def test_names_stand_alone_or_are_shown_as_they_are(
    route: str, pattern: URLPattern, headers: dict[str, str], client: Client, admin: User, scene: dict[str, Any]
) -> None:
    row = next((pk for prefix, pk in scene.items() if route.startswith(prefix)), admin.pk)
    answer = client.get(address(route, scene | {"pk": row}), {"q": "1"} if route == "search/" else {}, headers=headers)
    if answer.status_code != 200 or not answer["Content-Type"].startswith("text/html") or not answer.content:
        return
    page = html.fromstring(answer.content.decode())
    assert [found for element in page.iter() for found in turned_by(element)] == []


def turned_by(element: Any) -> list[str]:
    """Where in this element an override would turn something else around."""
    if not isinstance(element.tag, str) or element.tag in ("script", "textarea", "pre"):
        return []
    found = [f"{element.tag} {name}={value}" for name, value in element.items() if is_turning(name, value)]
    text = "".join([element.text or "", *(child.tail or "" for child in element)]).strip()
    # Blocks isolate what is in them; of inline elements the style sheet names those that do.
    if OVERRIDE in text and (not ALONE.fullmatch(text) or element.tag in ("title", "label", "button")):
        found.append(f"<{element.tag}> {text}")
    return found


def is_turning(name: str, value: str) -> bool:
    return OVERRIDE in value and name not in RAW_ATTRIBUTES


def test_the_style_sheet_isolates_the_elements_that_names_stand_in() -> None:
    rule = re.search(r"([\w,\s-]+)\{\s*unicode-bidi: isolate;", (REPOSITORY / "static/css/ground.css").read_text())
    assert rule is not None
    assert {"a", "b", "dd", "li", "span", "strong", "td", "vp-text"} <= {tag.strip() for tag in rule[1].split(",")}


@pytest.mark.parametrize(
    "text", ["a\u202eb", "a\u200bb", "\u2066x", "x\u2069", "a\u00adb", "\ufeffa", "a\U000e0041", "a\x1b"]
)
def test_what_is_invisible_is_shown(text: str) -> None:
    assert "⟨U+" in visible(text)
    assert visible(text).isprintable()


@pytest.mark.parametrize("text", ["web1", "Büro-Server №1", "שרת", "❤️ db", "two\nlines"])
def test_what_is_visible_stays(text: str) -> None:
    assert visible(text) == text
