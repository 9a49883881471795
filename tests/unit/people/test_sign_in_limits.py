"""Guessing is slow from everywhere, and keeps nobody out who signs in from elsewhere."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from hypervisors.models import AuditRecord

LOGIN = "/accounts/login/"
PASSWORD = "alice-is-an-operator"
pytestmark = pytest.mark.usefixtures("redis_client")


def sign_in(address: str, password: str, name: str = "alice") -> bool:
    """Whether it led in; from a browser at this address."""
    client = Client(headers={"X-Forwarded-For": address})
    client.post(LOGIN, {"login": name, "password": password})
    return client.get(reverse("profile")).status_code == 200


def guess(address: str, count: int, name: str = "alice") -> None:
    for number in range(count):
        assert not sign_in(address, f"guess {number}", name)


def test_five_wrong_passwords_lock_the_name_for_that_address_alone(alice: User, dora: User) -> None:
    guess("203.0.113.1", 5)
    assert not sign_in("203.0.113.1", PASSWORD)
    assert not sign_in("203.0.113.1", PASSWORD, name="ALICE")
    assert sign_in("203.0.113.2", PASSWORD)
    assert sign_in("203.0.113.1", "dora-is-another-operator", name="dora")


def test_an_ipv6_network_counts_as_one_address(alice: User) -> None:
    for number in range(5):
        guess(f"2001:db8:0:1::{number}", 1)
    assert not sign_in("2001:db8:0:1::99", PASSWORD)
    assert sign_in("2001:db8:0:2::1", PASSWORD)


def test_one_address_guesses_no_more_than_ten_times_a_minute_whatever_the_name(alice: User) -> None:
    for number in range(10):
        guess("203.0.113.1", 1, name=f"person{number}")
    assert not sign_in("203.0.113.1", PASSWORD)
    assert sign_in("203.0.113.2", PASSWORD)


def test_guessing_from_everywhere_slows_down_new_addresses_and_not_the_persons_own(alice: User) -> None:
    assert sign_in("198.51.100.7", PASSWORD)
    for number in range(10):
        guess(f"203.0.113.{number}", 3)
    # The thirty-first of five minutes.
    assert not sign_in("203.0.113.99", PASSWORD)
    assert sign_in("198.51.100.7", PASSWORD)
    guess("198.51.100.7", 5)
    assert not sign_in("198.51.100.7", PASSWORD)


def test_a_right_password_is_not_counted(alice: User) -> None:
    for _ in range(12):
        assert sign_in("203.0.113.1", PASSWORD)


def test_what_was_not_even_tried_stands_in_the_audit_once_a_minute(alice: User) -> None:
    guess("203.0.113.1", 8)
    records = AuditRecord.objects.filter(action="sign in").order_by("pk")
    assert [(r.outcome, r.subject_name, r.address) for r in records] == [
        *[("failed", "alice", "203.0.113.1")] * 5,
        ("refused", "alice", "203.0.113.1"),
    ]


def test_the_answer_says_what_to_do(alice: User, client: Client) -> None:
    for _ in range(6):
        answer = client.post(LOGIN, {"login": "alice", "password": "wrong"})
    assert "Too many failed login attempts. Try again later." in answer.content.decode()
