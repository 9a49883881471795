"""What ends an installation: the guest's own doing, and nothing that somebody asked for."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, Installation, Operation
from hypervisors.operations.domains.creation.install_phase import Ending, ending_of, look_at_installations
from hypervisors.operations.domains.reinstall import boot_xml
from hypervisors.states import DomainState
from tests.rows import make_operation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def installation(domain: Domain) -> Installation:
    """Of a machine that went off by itself a moment ago."""
    assert domain.hypervisor is not None
    now = timezone.now()
    Domain.objects.update(state=DomainState.SHUTOFF, state_reason="shut down", state_since=now)
    domain.refresh_from_db()
    return Installation.objects.create(
        uuid=domain.uuid,
        hypervisor=domain.hypervisor,
        hypervisor_pool=domain.hypervisor.hypervisor_pool,
        phase=Installation.Phase.INSTALLING,
        started_at=now - timedelta(minutes=20),
    )


def shut_down(domain: Domain, *, minutes_ago: int) -> None:
    operation = make_operation(domain=domain, hypervisor=domain.hypervisor, kind="shut_down", state="succeeded")
    at = timezone.now() - timedelta(minutes=minutes_ago)
    type(operation).objects.filter(pk=operation.pk).update(requested_at=at, ended_at=at + timedelta(seconds=5))


def test_an_installer_that_powers_off_has_its_machine_started_again(domain: Domain, installation: Installation) -> None:
    ending = ending_of(installation, domain)
    assert isinstance(ending, Ending)
    assert ending.start


def test_what_somebody_shut_down_is_not_started_again(domain: Domain, installation: Installation) -> None:
    shut_down(domain, minutes_ago=0)
    assert ending_of(installation, domain) is None


def test_one_that_cannot_be_looked_at_keeps_no_other_from_its_end(domain: Domain, installation: Installation) -> None:
    # Of no machine and no operation, and looked at first.
    Installation.objects.create(
        uuid=uuid4(),
        hypervisor=installation.hypervisor,
        hypervisor_pool=installation.hypervisor_pool,
        phase=Installation.Phase.SEEDED,
    )
    assert look_at_installations() == 1
    assert Operation.objects.get().kind == "finish_install"


def test_without_the_drive_it_was_installed_from_it_is_not_installed_again(installation: Installation) -> None:
    installation.source, installation.media = "cdrom", {"sda": "/isos/debian.iso"}
    with pytest.raises(NotPossible, match="no drive or network card to install from"):
        boot_xml("<domain><os/><devices/></domain>", installation)


def test_a_request_of_long_ago_is_not_why_it_is_off(domain: Domain, installation: Installation) -> None:
    shut_down(domain, minutes_ago=10)
    assert ending_of(installation, domain) is not None
