"""Migrations keep data, there and back."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

MIRROR = ("hypervisors", "0002_mirror")


def migrate(target: tuple[str, str]) -> Any:
    """The models as of then."""
    executor = MigrationExecutor(connection)
    executor.migrate([target])
    return executor.loader.project_state(target).apps


def parent_of(target: tuple[str, str]) -> tuple[str, str]:
    parents = MigrationExecutor(connection).loader.graph.node_map[target].parents
    return next(node.key for node in sorted(parents) if node.key[0] == target[0])


@pytest.fixture
def before_mirror(transactional_db: None) -> Iterator[Any]:
    """The models of the migration before `0002_mirror`; the database is brought back to the latest afterwards."""
    (latest,) = MigrationExecutor(connection).loader.graph.leaf_nodes("hypervisors")
    yield migrate(parent_of(MIRROR))
    migrate(latest)


def test_hosts_keep_credentials_and_intent_there_and_back(before_mirror: Any) -> None:
    pool = before_mirror.get_model("hypervisors", "HypervisorPool").objects.create(name="rack one")
    former = before_mirror.get_model("hypervisors", "Hypervisor").objects
    former.create(hypervisor_pool=pool, name="a", uri="qemu+tcp://a/system", sasl_password="s3cr3t", status="online")
    former.create(hypervisor_pool=pool, name="b", uri="qemu+tcp://b/system", status="disabled", status_reason="by bob")
    with connection.cursor() as cursor:
        cursor.execute("SELECT sasl_password FROM hypervisors_hypervisor WHERE name = 'a'")
        (ciphertext,) = cursor.fetchone()
        # Nobody can decrypt this one: it is copied all the same.
        cursor.execute("UPDATE hypervisors_hypervisor SET tls_client_key = 'of another key' WHERE name = 'b'")

    now = migrate(MIRROR).get_model("hypervisors", "Hypervisor").objects
    assert list(now.values_list("name", "status", "admin_state", "status_reason")) == [
        ("a", "online", "enabled", ""),
        ("b", "offline", "disabled", ""),
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sasl_password, tls_client_key FROM hypervisors_hypervisorcredentials ORDER BY hypervisor_id"
        )
        assert cursor.fetchall() == [(ciphertext, ""), ("", "of another key")]

    migrate(parent_of(MIRROR))
    assert list(former.order_by("name").values_list("name", "status")) == [("a", "online"), ("b", "disabled")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT sasl_password, tls_client_key FROM hypervisors_hypervisor ORDER BY name")
        assert cursor.fetchall() == [(ciphertext, ""), ("", "of another key")]


def test_definitions_keep_their_parses_there_and_back(before_mirror: Any) -> None:
    domain = before_mirror.get_model("hypervisors", "Domain")
    definition = before_mirror.get_model("hypervisors", "DomainDefinition")
    state = {"state": "shutoff", "state_since": timezone.now()}
    for number, live in enumerate(("<domain id='1'/>", "")):
        row = domain.objects.create(uuid=f"00000000-0000-4000-8000-00000000000{number}", name=f"vm{number}", **state)
        definition.objects.create(domain=row, live_xml=live, inactive_xml="<domain/>", parsed={"name": f"vm{number}"})

    now = migrate(MIRROR).get_model("hypervisors", "DomainDefinition").objects
    assert [(row.live_parsed, row.parser_version) for row in now.order_by("pk")] == [
        ({"name": "vm0"}, 0),
        ({"name": "vm1"}, 0),
    ]
    # As the watcher has written it meanwhile.
    now.filter(live_xml="").update(live_parsed={}, inactive_parsed={"name": "vm1"}, parser_version=1)

    migrate(parent_of(MIRROR))
    assert [row.parsed for row in definition.objects.order_by("pk")] == [{"name": "vm0"}, {"name": "vm1"}]
