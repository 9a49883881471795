"""What an operation's row loses with its end: secrets among its parameters."""

import pytest

from hypervisors.models import Operation
from hypervisors.operations.engine import records
from hypervisors.operations.engine.registry import operation_type


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://mirror.example.org/a.iso", "https://mirror.example.org/a.iso"),
        ("https://mirror.example.org/a.iso?token=s3cret&x=1#y", "https://mirror.example.org/a.iso?…"),
        ("https://mirror.example.org:8443/?sig=s3cret", "https://mirror.example.org:8443/?…"),
    ],
)
def test_a_fetched_address_is_kept_without_its_token(url: str, kept: str) -> None:
    given = {"name": "a.iso", "url": url, "purpose": "iso"}
    assert operation_type("fetch_url").kept(given) == {"name": "a.iso", "url": kept, "purpose": "iso"}
    changed = records.without_secrets(Operation(kind="fetch_url", parameters=given))
    assert changed == ({} if kept == url else {"parameters": {**given, "url": kept}})


def test_a_kind_with_secrets_loses_them_and_one_without_is_left_alone() -> None:
    given = {"name": "web1", "cloud_init": {"password": "s3cret"}}
    row = Operation(kind="create_domain", parameters=given)
    assert records.without_secrets(row) == {"parameters": {"name": "web1"}}
    assert records.without_secrets(Operation(kind="rename", parameters={"name": "x"})) == {}
