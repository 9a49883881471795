"""The form of a hypervisor as a browser sends it: with htmx, its connection test first."""

import html
import re
from typing import Any

from django.test import Client

HTMX = {"HX-Request": "true"}
# Nothing listens on this port.
REFUSING = {"transport": "tcp", "host": "127.0.0.1", "port": "1"}


def polled(client: Client, answer: Any) -> str:
    """What the page shows when it asks, as told, what came of the test."""
    return client.get(_attribute("hx-get", answer.content.decode())).content.decode()


def finished_test_id(page: str) -> str:
    """The finished test that a page would send with the form."""
    return page.split('name="test" value="')[1].split('"')[0]


def submit(client: Client, url: str, fields: dict[str, Any]) -> Any:
    """Send the form, ask for the outcome, send the form again when told to; the last answer, or the outcome's page."""
    answer = client.post(url, fields, headers=HTMX)
    if b"/tests/" not in answer.content:
        return answer
    outcome = polled(client, answer)
    if f'hx-post="{url}" hx-trigger="load"' not in outcome:
        return outcome
    return client.post(url, {**fields, "test": finished_test_id(outcome)}, headers=HTMX)


def save_untested(client: Client, url: str, **fields: Any) -> Any:
    """Send the form; its test fails; save all the same."""
    outcome = polled(client, client.post(url, fields, headers=HTMX))
    return client.post(url, {**fields, "test": finished_test_id(outcome), "save_anyway": "1"}, headers=HTMX)


def errors_of(answer: Any) -> dict[str, str]:
    """The error at each field, from the fragment that htmx swaps in."""
    found = re.findall(r'id="error-([^"]+)"[^>]*>(.*?)</div>', answer.content.decode(), re.DOTALL)
    return {name: text for name, text in found if text}


def _attribute(name: str, page: str) -> str:
    return html.unescape(page.split(f'{name}="')[1].split('"')[0])
