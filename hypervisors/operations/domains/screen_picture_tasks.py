"""Taking a picture of a guest's screen, in a worker; see `screen_pictures` for who asks."""

import logging
import time
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from celery import shared_task

from hypervisors.errors import HypervisorError, NotFound, OperationRefused, VmportalError
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.domains.screenshots import take_screenshot
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.imaging.screen_pictures import ScreenPicture
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Domain
from hypervisors.operations.domains.screen_pictures import (
    TAKE_PICTURE,
    KeptPicture,
    is_possible,
    keep_picture,
    keep_problem,
    release_claim,
)
from hypervisors.operations.engine.bounded_calls import NotAnswered, bounded

logger = logging.getLogger(__name__)

_TAKE_SECONDS = 8.0


@shared_task(name=TAKE_PICTURE, acks_late=False, ignore_result=True)
def take_screen_picture(domain_uuid: str) -> None:
    """Whatever comes of it ends in the cache."""
    domain = Domain.objects.select_related("hypervisor").filter(uuid=UUID(domain_uuid)).first()
    if domain is None or domain.hypervisor is None or not is_possible(domain):
        return
    try:
        picture = _take(endpoint_of(domain.hypervisor), domain.libvirt_uuid)
    except NotFound:
        # It was stopped a moment ago, and may be started in the next.
        release_claim(domain.uuid)
    except VmportalError as error:
        logger.info("%s: %s", domain.name, error)
        keep_problem(domain.uuid, "no_screen" if isinstance(error, OperationRefused) else "no_answer")
    else:
        size = {"screen_width": picture.screen_width, "screen_height": picture.screen_height}
        keep_picture(domain.uuid, KeptPicture(png=picture.png, taken_at=time.time(), **size))


def _take(endpoint: Endpoint, domain_uuid: UUID) -> ScreenPicture:
    """Over a connection of its own: one that hangs is given up, and no operation with it."""
    own = replace(endpoint, key=f"{endpoint.key}-screens")
    try:
        return bounded(lambda: take_screenshot(cached_connection(own), domain_uuid), seconds=_TAKE_SECONDS)
    except NotAnswered:
        with suppress(HypervisorError):
            bounded(lambda: cached_connection(own).close(wait_seconds=0), seconds=1)
        raise
