"""A hypervisor's row as the gateway's endpoint."""

from django.conf import settings

from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.uris import parse_uri
from hypervisors.models import Hypervisor
from hypervisors.models.hypervisor_credentials import CREDENTIALS, credentials_of


def endpoint_of(hypervisor: Hypervisor) -> Endpoint:
    """How to reach it, with its secrets decrypted. Raises: InvalidUri, CredentialsUnreadable."""
    uri = parse_uri(hypervisor.uri, allow_test_driver=settings.ALLOW_TEST_DRIVER)
    credentials = credentials_of(hypervisor)
    return Endpoint(
        uri=uri,
        key=f"hypervisor-{hypervisor.pk}",
        revision=hypervisor.revision,
        console_addresses=tuple(hypervisor.console_addresses.split()),
        **{name: getattr(credentials, name) for name in CREDENTIALS},
    )
