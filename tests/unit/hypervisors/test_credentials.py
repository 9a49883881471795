"""Host credentials: loaded only where a connection is made; a wrong key costs that host's connection and no page."""

from collections.abc import Callable, Iterator

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from hypervisors.errors import CredentialsUnreadable
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Domain, Hypervisor, HypervisorCredentials, encryption


@pytest.fixture
def unreadable(hypervisor: Hypervisor, settings: object) -> Iterator[Hypervisor]:
    """A host whose secrets were written with a key that is lost."""
    HypervisorCredentials.objects.create(hypervisor=hypervisor, sasl_username="vmportal", sasl_password="s3cr3t")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]  # type: ignore[attr-defined]
    encryption._fernet.cache_clear()
    yield hypervisor
    encryption._fernet.cache_clear()


def pages_of(hypervisor: Hypervisor, domain: Domain) -> list[str]:
    host, pool = [hypervisor.pk], [hypervisor.hypervisor_pool_id]
    return [
        reverse("hypervisors"),
        *(reverse(name, args=host) for name in ("hypervisor", "hypervisor_domains", "hypervisor_storage_pools")),
        *(reverse(name, args=host) for name in ("hypervisor_networks", "hypervisor_remove", "tree_hypervisor")),
        reverse("hypervisor_pool", args=pool),
        reverse("domains"),
        reverse("domain", args=[domain.uuid]),
        reverse("domain_xml", args=[domain.uuid]),
        reverse("migrate_domain", args=[domain.uuid]),
        reverse("operations"),
        reverse("tree"),
    ]


@pytest.mark.usefixtures("redis_client")
def test_no_page_of_hosts_or_machines_loads_credentials(
    operator: Client, unreadable: Hypervisor, domain: Domain
) -> None:
    for url in pages_of(unreadable, domain):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert operator.get(url).status_code == 200, url
        assert not [query for query in queries if "hypervisorcredentials" in query["sql"]], url


def test_the_endpoint_says_what_to_do(unreadable: Hypervisor) -> None:
    with pytest.raises(CredentialsUnreadable, match="cannot be decrypted; enter them again"):
        endpoint_of(Hypervisor.objects.get(pk=unreadable.pk))


@pytest.mark.usefixtures("redis_client")
def test_the_form_opens_and_takes_new_credentials(operator: Client, unreadable: Hypervisor) -> None:
    edit = reverse("hypervisor_edit", args=[unreadable.pk])
    page = operator.get(edit).content.decode()
    assert "cannot be decrypted; enter them again" in page
    assert 'value="vmportal"' in page, "what is no secret is kept"
    renamed = {"name": "renamed", "hypervisor_pool": unreadable.hypervisor_pool_id, "transport": "tcp", "host": "host1"}
    operator.post(edit, {**renamed, "sasl_username": "vmportal"})
    unreadable.refresh_from_db()
    assert (unreadable.name, unreadable.revision) == ("renamed", 1), "a new name needs no credentials"


def test_a_host_without_a_row_of_credentials_has_none(make_hypervisor: Callable[..., Hypervisor]) -> None:
    endpoint = endpoint_of(make_hypervisor())
    assert (endpoint.sasl_username, endpoint.sasl_password, endpoint.ssh_private_key) == ("", "", "")
