"""Reading a volume's XML, in a worker; see `volume_xml_readings` for who asks."""

import logging
import time
from contextlib import suppress
from dataclasses import replace

from celery import shared_task

from hypervisors.errors import HypervisorError, VmportalError
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.storage.volumes import read_volume_xml
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Volume
from hypervisors.operations.engine.bounded_calls import NotAnswered, bounded
from hypervisors.operations.storage.volume_xml_readings import READ_XML, VolumeXml, keep_xml

logger = logging.getLogger(__name__)

_READ_SECONDS = 10.0


@shared_task(name=READ_XML, acks_late=False, ignore_result=True)
def read_xml(volume_id: int) -> None:
    """Whatever comes of it ends in the cache."""
    volume = Volume.objects.select_related("storage_pool__hypervisor").filter(pk=volume_id).first()
    if volume is None:
        return
    try:
        reading = VolumeXml(xml=_read(volume), read_at=time.time())
    except VmportalError as error:
        logger.info("%s: %s", volume, error)
        reading = VolumeXml(problem=str(error), read_at=time.time())
    keep_xml(volume_id, reading)


def _read(volume: Volume) -> str:
    """Over a connection of its own: storage that hangs is given up, and no operation with it."""
    storage_pool = volume.storage_pool
    endpoint = endpoint_of(storage_pool.hypervisor)
    own = replace(endpoint, key=f"{endpoint.key}-volume-xml")
    try:
        return bounded(
            lambda: read_volume_xml(cached_connection(own), storage_pool.uuid, volume.name), seconds=_READ_SECONDS
        )
    except NotAnswered:
        with suppress(HypervisorError):
            bounded(lambda: cached_connection(own).close(wait_seconds=0), seconds=1)
        raise
