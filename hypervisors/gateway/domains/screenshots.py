"""What a guest shows on its screen now, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainScreenshot."""

from contextlib import suppress
from uuid import UUID

import libvirt

from hypervisors.errors import NotFound, OperationRefused
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.storage.volume_streams import PACKET_BYTES
from hypervisors.imaging.screen_pictures import MOST_BYTES, NoPicture, ScreenPicture, picture_of_screen

_WHAT = "take a picture of the screen"


def take_screenshot(connection: Connection, uuid: UUID) -> ScreenPicture:
    """The first screen of a running or paused domain.

    A QEMU that hangs holds the call up for as long as it does: bound it. Raises: errors.NotFound when it does not run,
    OperationRefused where there is no screen, or no picture came; other HypervisorErrors.
    """
    try:
        return picture_of_screen(_read(connection, uuid))
    except OperationRefused as error:
        if not _is_active(connection, uuid):
            raise NotFound(str(error)) from error
        raise
    except NoPicture as error:
        raise OperationRefused(f"Could not {_WHAT}: {error}") from error


def _is_active(connection: Connection, uuid: UUID) -> bool:
    with translated(_WHAT):
        return bool(connection.raw.lookupByUUID(uuid.bytes).isActive())


def _read(connection: Connection, uuid: UUID) -> bytes:
    """Raises: errors.HypervisorError; NoPicture for more than a screen can have."""
    with translated(_WHAT):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        stream = connection.raw.newStream(0)
        domain.screenshot(stream, 0, 0)
    picture, is_over = bytearray(), False
    try:
        while True:
            with translated(_WHAT):
                block: bytes = stream.recv(PACKET_BYTES)
                if not block:
                    stream.finish()
                    is_over = True
                    return bytes(picture)
            picture += block
            if len(picture) > MOST_BYTES:
                raise NoPicture("It is larger than a screen can be.")
    finally:
        if not is_over:
            with suppress(libvirt.libvirtError):
                stream.abort()
