"""Roles on one virtual machine: operators give and take them back; taking one back closes that person's consoles."""

import json
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from hypervisors.models import Domain, RoleBinding
from hypervisors.models.consoles.kicks import KICK_CHANNEL
from tests.roles import bind

HTMX = {"HX-Request": "true"}


def url(domain: Domain) -> str:
    return reverse("domain_roles", args=[domain.uuid])


def test_a_right_is_given_changed_and_taken_back(operator: Client, domain: Domain, charlie: User) -> None:
    operator.post(url(domain), {"holder": "charlie", "role": "viewer"}, headers=HTMX)
    assert list(Domain.objects.visible_to(charlie)) == [domain]
    assert not Domain.objects.operable_by(charlie)
    answer = operator.post(url(domain), {"holder": "charlie", "role": "vm-user"}, headers=HTMX)
    assert "VM user" in answer.content.decode()
    assert list(Domain.objects.operable_by(charlie)) == [domain]
    assert RoleBinding.objects.get(user=charlie).granted_by == User.objects.get(username="alice")
    operator.post(url(domain), {"holder": "charlie", "role": ""}, headers=HTMX)
    assert not Domain.objects.visible_to(charlie)


@pytest.mark.django_db(transaction=True)
def test_taking_back_closes_consoles(redis_client: redis.Redis) -> None:
    alice = User.objects.create_user("alice", is_staff=True)
    bob = User.objects.create_user("bob")
    from django.utils import timezone

    domain = Domain.objects.create(uuid=uuid4(), name="web1", state="running", state_since=timezone.now())
    bind(bob, "vm-user", domain, granted_by=alice)
    client = Client()
    client.force_login(alice)
    with redis_client.pubsub(ignore_subscribe_messages=True) as kicks:
        kicks.subscribe(KICK_CHANNEL)
        kicks.get_message(timeout=5)
        client.post(url(domain), {"holder": "bob", "role": ""}, headers=HTMX)
        message = kicks.get_message(timeout=5) or kicks.get_message(timeout=5)
    kick = json.loads(message["data"])
    assert (kick["user"], kick["domain"], kick["code"]) == (bob.pk, str(domain.uuid), 4001)


def test_only_operators_grant(client: Client, domain: Domain, bob: User, charlie: User) -> None:
    for user, status in ((bob, 403), (charlie, 404)):
        client.force_login(user)
        for name in ("charlie", "nobody-of-that-name"):
            # Who exists is not told.
            assert client.post(url(domain), {"holder": name, "role": "vm-user"}, headers=HTMX).status_code == status
    assert not Domain.objects.visible_to(charlie)


def test_the_wrong_method_and_an_unknown_machine(operator: Client, domain: Domain) -> None:
    assert operator.get(url(domain)).status_code == 405
    assert operator.post(reverse("domain_roles", args=[uuid4()]), {"holder": "bob"}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"holder": "nobody <b>", "role": "viewer"}, "nobody &lt;b&gt;"),
        ({"holder": "a\x01b", "role": "viewer"}, "There is nobody called"),
        ({"holder": "charlie", "role": "own"}, "Choose a role"),
        ({"holder": "charlie", "role": "operator"}, "not a role for one virtual machine"),
        ({"group": "ghosts", "role": "viewer"}, "There is nobody called"),
        ({"holder": "alice", "role": "viewer"}, "may do all that anyway"),
    ],
)
def test_bad_input_is_answered(
    fields: dict[str, str], said: str, operator: Client, domain: Domain, charlie: Any
) -> None:
    answer = operator.post(url(domain), fields, headers=HTMX)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not RoleBinding.objects.filter(scope="domain").exists()
