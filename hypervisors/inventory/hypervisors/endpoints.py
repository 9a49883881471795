"""A hypervisor's row as the gateway's endpoint."""

from django.conf import settings

from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.uris import parse_uri
from hypervisors.models import Hypervisor


def endpoint_of(hypervisor: Hypervisor) -> Endpoint:
    """How to reach it, with its secrets decrypted. Raises: InvalidUri."""
    return Endpoint(
        uri=parse_uri(hypervisor.uri, allow_test_driver=settings.ALLOW_TEST_DRIVER),
        key=f"hypervisor-{hypervisor.pk}",
        revision=hypervisor.revision,
        sasl_username=hypervisor.sasl_username,
        sasl_password=hypervisor.sasl_password,
        ssh_private_key=hypervisor.ssh_private_key,
        ssh_known_hosts=hypervisor.ssh_known_hosts,
        tls_ca_certificate=hypervisor.tls_ca_certificate,
        tls_client_certificate=hypervisor.tls_client_certificate,
        tls_client_key=hypervisor.tls_client_key,
    )
