"""A portal in this process over the lab's hosts, with real workers of the queues that a module names in WORKERS."""

from collections.abc import Iterator

import pytest
import redis
from django.contrib.auth.models import User

from deploy.lab.lab import Lab
from tests.lab.portals import Portal, running_portal
from tests.workers import Worker, running_workers


@pytest.fixture(scope="module")
def workers(
    request: pytest.FixtureRequest, redis_server: str, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Worker]]:
    with running_workers(tmp_path_factory.mktemp("workers"), *request.module.WORKERS) as running:
        yield running


@pytest.fixture
def portal(
    lab: Lab, redis_client: redis.Redis, workers: dict[str, Worker], transactional_db: None, alice: User
) -> Iterator[Portal]:
    with running_portal(lab, alice) as running:
        yield running
