"""What /healthz says of ourselves."""

from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from deploy.services import private_redis
from hypervisors.models.instances import announce, this_instance

pytestmark = pytest.mark.django_db


def checks(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.get("/healthz")
    return answer.status_code, answer.json()["checks"]


def test_a_process_that_gives_no_sign_of_life_is_named(client: Client, redis_client: Any) -> None:
    announce(this_instance("watcher"))
    status, found = checks(client)
    assert status == 503
    assert found["database"]["well"]
    assert found["redis"]["well"]
    assert found["watcher"]["well"]
    assert found["worker"] == {"well": False, "detail": "no sign of life"}


def test_without_redis_nothing_is_said_of_those_who_beat_in_it(client: Client, settings: LazySettings) -> None:
    with private_redis() as url:
        settings.REDIS_URL = url
    status, found = checks(client)
    assert status == 503
    assert found["database"]["well"]
    assert not found["redis"]["well"]
    assert found["watcher"] == {"well": False, "detail": "not known while Redis is away"}
