"""The map of networks: nothing lies on anything else, each link has its two ends, and the table says the same."""

from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from hypervisors.models import Domain, Hypervisor, Network
from hypervisors.web.networks.topology import MOST_DRAWN, HostPart, Source, lay_out
from tests.rows import define

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def machines(hypervisor: Hypervisor, count: int) -> list[Domain]:
    numbers = range(Domain.objects.count() + 1, Domain.objects.count() + 1 + count)
    values = {"hypervisor": hypervisor, "state": "running", "state_since": timezone.now()}
    return [Domain.objects.create(uuid=UUID(int=number), name=f"vm{number}", **values) for number in numbers]


def source(name: str, domains: list[Domain]) -> Source:
    return Source(key=name, name=name, note="", machines=domains)


def do_not_overlap(spans: list[tuple[int, int]]) -> bool:
    ordered = sorted(spans)
    return all(end <= start for (_first, end), (start, _last) in pairwise(ordered))


def test_three_hosts_and_sixty_machines_are_laid_out_apart(hypervisor: Hypervisor, make_hypervisor: Any) -> None:
    hosts = [hypervisor, make_hypervisor(), make_hypervisor()]
    listed = []
    for host in hosts:
        own = machines(host, 20)
        listed.append((host, [source("a", own[:12]), source("b", own[10:]), source("c", [])]))
    parts = lay_out(listed)
    assert do_not_overlap([(part.y, part.y + part.height) for part in parts])
    for part in parts:
        assert len(part.machines) == 20
        assert len(part.links) == 22
        assert do_not_overlap([(one.y, one.y + 24) for one in part.machines])
        assert do_not_overlap([(one.y, one.y + 42) for one in part.sources])
        _is_inside(part)


def _is_inside(part: HostPart) -> None:
    bottoms = [one.y + 24 for one in part.machines] + [one.y + 42 for one in part.sources]
    assert all(part.y < one.y for one in part.machines)
    assert max(bottoms) <= part.y + part.height


def test_what_is_too_much_to_draw_is_left_to_the_table(hypervisor: Hypervisor) -> None:
    (part,) = lay_out([(hypervisor, [source("a", machines(hypervisor, MOST_DRAWN + 3))])])
    assert (len(part.machines), part.more) == (MOST_DRAWN, 3)


def test_the_page_names_all_with_links(operator: Client, hypervisor: Hypervisor) -> None:
    network = Network.objects.create(
        hypervisor=hypervisor,
        uuid=UUID(int=1),
        name="lan <b>",
        active=True,
        autostart=True,
        forward_mode="nat",
    )
    (domain,) = machines(hypervisor, 1)
    cards = (
        "<interface type='network'><source network='lan &lt;b&gt;'/></interface>"
        "<interface type='bridge'><source bridge='br7'/></interface>"
    )
    define(domain, inactive_xml=f"<domain><devices>{cards}</devices></domain>")
    page = operator.get("/networks/map/").content.decode()
    assert page.count(f'href="{network.get_absolute_url()}"') == 2
    # In the picture once, in the table at each of its two cards.
    assert page.count(f'href="{domain.get_absolute_url()}"') == 3
    assert "br7" in page
    assert "lan <b>" not in page
