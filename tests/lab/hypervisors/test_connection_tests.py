"""Connection tests against real hypervisors by each transport: what is found, and what a wrong credential comes to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from deploy.lab.host import Host
from deploy.lab.lab import Lab, bring_up, take_down
from deploy.lab.sign_in import SASL_USERNAME, sasl_password
from hypervisors.models import Hypervisor, HypervisorPool
from hypervisors.operations.hypervisors.connection_tests import ConnectionTest
from hypervisors.operations.hypervisors.ssh_keys import generate_private_key
from tests.connection_outcomes import outcome
from tests.hypervisor_forms import submit

pytestmark = pytest.mark.usefixtures("tasks_at_once")


@pytest.fixture(scope="module")
def guarded_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One host that wants a user and a password."""
    directory = tmp_path_factory.mktemp("guarded") / "lab"
    guarded = bring_up(f"sasl{os.getpid()}", directory, host_count=1, sasl_host=1)
    try:
        yield guarded
    finally:
        take_down(guarded.plan)


def tls_credentials(pki: Path) -> dict[str, str]:
    return {
        "tls_ca_certificate": (pki / "cacert.pem").read_text(),
        "tls_client_certificate": (pki / "clientcert.pem").read_text(),
        "tls_client_key": (pki / "clientkey.pem").read_text(),
    }


def assert_found(test: ConnectionTest, host: Host) -> None:
    """What the test found is what virsh says."""
    assert test.state == "succeeded", test.message
    assert test.facts is not None
    assert str(test.facts.host_uuid) == host.host_uuid
    assert test.facts.hostname == host.virsh("hostname")
    assert f"libvirt {test.facts.libvirt_version}" in host.virsh("version")
    assert f"QEMU {test.facts.qemu_version}" in host.virsh("version")


def test_tcp(lab: Lab) -> None:
    host = lab.hosts[0]
    assert_found(outcome(host.uri), host)


def test_tls(lab: Lab) -> None:
    host = lab.hosts[0]
    assert_found(outcome(host.tls_uri, **tls_credentials(lab.plan.pki_path)), host)


def test_ssh_after_its_host_key_is_accepted(lab: Lab) -> None:
    host = lab.hosts[0]
    key = lab.plan.ssh_key_path.read_text()
    unknown = outcome(host.ssh_uri, ssh_private_key=key)
    assert unknown.failure == "HostKeyChanged"
    known = "\n".join(one.line for one in unknown.host_keys)
    assert_found(outcome(host.ssh_uri, ssh_private_key=key, ssh_known_hosts=known), host)
    rejected = outcome(host.ssh_uri, ssh_private_key=generate_private_key(), ssh_known_hosts=known)
    assert rejected.failure == "AuthenticationFailed"
    stranger = outcome(lab.hosts[1].ssh_uri, ssh_private_key=key, ssh_known_hosts=known)
    assert stranger.failure == "HostKeyChanged"
    assert stranger.host_key_changed


def test_tls_without_a_client_certificate(lab: Lab) -> None:
    credentials = tls_credentials(lab.plan.pki_path) | {"tls_client_certificate": "", "tls_client_key": ""}
    test = outcome(lab.hosts[0].tls_uri, **credentials)
    assert test.failure in ("AuthenticationFailed", "CertificateInvalid")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_user_and_a_password(guarded_lab: Lab, transport: str) -> None:
    (host,) = guarded_lab.hosts
    uri = {"tcp": host.uri, "tls": host.tls_uri}[transport]
    certificates = tls_credentials(guarded_lab.plan.pki_path) if transport == "tls" else {}
    password = sasl_password(guarded_lab.plan)
    right = outcome(uri, sasl_username=SASL_USERNAME, sasl_password=password, **certificates)
    assert_found(right, host)
    for username, wrong in ((SASL_USERNAME, "wrong"), ("nobody", password), ("", "")):
        test = outcome(uri, sasl_username=username, sasl_password=wrong, **certificates)
        assert test.failure == "AuthenticationFailed"
        assert password not in test.message


def test_a_host_is_added_once_by_whatever_uri(lab: Lab, operator: Client, hypervisor_pool: HypervisorPool) -> None:
    host = lab.hosts[0]
    url, fields = reverse("hypervisor_add"), {"hypervisor_pool": hypervisor_pool.pk, "uri_by_hand": "on"}
    submit(operator, url, {**fields, "name": "first", "uri": host.uri})
    assert str(Hypervisor.objects.get().host_uuid) == host.host_uuid
    certificates = tls_credentials(lab.plan.pki_path)
    refused = submit(operator, url, {**fields, "name": "second", "uri": host.tls_uri, **certificates})
    assert 'data-state="twin"' in refused
    assert "first" in refused
    assert Hypervisor.objects.count() == 1
