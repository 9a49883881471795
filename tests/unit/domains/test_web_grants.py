"""Granting: operators give and take rights on one virtual machine; taking one closes that person's consoles."""

import json
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from hypervisors.models import Domain, DomainGrant
from hypervisors.models.consoles.kicks import KICK_CHANNEL

HTMX = {"HX-Request": "true"}


def url(domain: Domain) -> str:
    return reverse("grants", args=[domain.uuid])


def test_a_right_is_given_changed_and_taken_back(operator: Client, domain: Domain, charlie: User) -> None:
    operator.post(url(domain), {"username": "charlie", "right": "view"}, headers=HTMX)
    assert list(Domain.objects.visible_to(charlie)) == [domain]
    assert not Domain.objects.operable_by(charlie)
    answer = operator.post(url(domain), {"username": "charlie", "right": "operate"}, headers=HTMX)
    assert "may operate" in answer.content.decode()
    assert list(Domain.objects.operable_by(charlie)) == [domain]
    assert DomainGrant.objects.get(user=charlie).granted_by == User.objects.get(username="alice")
    operator.post(url(domain), {"username": "charlie", "right": ""}, headers=HTMX)
    assert not Domain.objects.visible_to(charlie)


@pytest.mark.django_db(transaction=True)
def test_taking_back_closes_consoles(redis_client: redis.Redis) -> None:
    alice = User.objects.create_user("alice", is_staff=True)
    bob = User.objects.create_user("bob")
    from django.utils import timezone

    domain = Domain.objects.create(uuid=uuid4(), name="web1", state="running", state_since=timezone.now())
    DomainGrant.objects.create(domain=domain, user=bob, right="operate", granted_by=alice)
    client = Client()
    client.force_login(alice)
    with redis_client.pubsub(ignore_subscribe_messages=True) as kicks:
        kicks.subscribe(KICK_CHANNEL)
        kicks.get_message(timeout=5)
        client.post(url(domain), {"username": "bob", "right": ""}, headers=HTMX)
        message = kicks.get_message(timeout=5) or kicks.get_message(timeout=5)
    kick = json.loads(message["data"])
    assert (kick["user"], kick["domain"], kick["code"]) == (bob.pk, str(domain.uuid), 4001)


def test_only_operators_grant(client: Client, domain: Domain, bob: User, charlie: User) -> None:
    for user in (bob, charlie):
        client.force_login(user)
        assert client.post(url(domain), {"username": "charlie", "right": "operate"}).status_code == 404
    assert not Domain.objects.visible_to(charlie)


def test_the_wrong_method_and_an_unknown_machine(operator: Client, domain: Domain) -> None:
    assert operator.get(url(domain)).status_code == 405
    assert operator.post(reverse("grants", args=[uuid4()]), {"username": "bob"}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"username": "nobody <b>", "right": "view"}, "nobody &lt;b&gt;"),
        ({"username": "a\x00b", "right": "view"}, "There is nobody called"),
        ({"username": "charlie", "right": "own"}, "Choose whether"),
        ({"username": "alice", "right": "view"}, "operates every machine anyway"),
    ],
)
def test_bad_input_is_answered(
    fields: dict[str, str], said: str, operator: Client, domain: Domain, charlie: Any
) -> None:
    answer = operator.post(url(domain), fields, headers=HTMX)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not DomainGrant.objects.exists()
