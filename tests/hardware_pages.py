"""The Hardware tab as a browser would use it, without one."""

from pathlib import Path

from django.http import HttpResponse
from django.test import Client
from lxml import html

from hypervisors.models import Domain, DomainDefinition

MACHINE = (Path(__file__).parent / "unit/domains/hardware-machine.xml").read_text()
HTMX = {"HX-Request": "true"}


def give_hardware(domain: Domain, *, live: str = "", stored: str = MACHINE, sha256: str = "a" * 64) -> Domain:
    values = {"live_xml": live, "inactive_xml": stored, "inactive_sha256": sha256}
    DomainDefinition.objects.update_or_create(domain=domain, defaults=values)
    return domain


def part(browser: Client, domain: Domain, show: str, **query: str) -> str:
    answer = browser.get(f"/vms/{domain.uuid}/hardware/part/", {"show": show, **query}, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def form_of(browser: Client, domain: Domain, show: str, **query: str) -> dict[str, str]:
    """What a browser would send of the form as it is shown."""
    page = html.fromstring(part(browser, domain, show, **query))
    [form] = page.xpath("//form[contains(@class, 'vp-hardware-form')]")
    return {name: value or "" for name, value in form.form_values()}


def change(browser: Client, domain: Domain, fields: dict[str, str]) -> HttpResponse:
    return browser.post(f"/vms/{domain.uuid}/hardware/change/", fields, headers=HTMX)
