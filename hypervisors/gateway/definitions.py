"""What libvirt does with networks and with storage pools alike: they are defined, started, stopped and undefined.

https://libvirt.org/html/libvirt-libvirt-network.html, https://libvirt.org/html/libvirt-libvirt-storage.html.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.failure_rules import Rule, translated_by
from hypervisors.gateway.failures import is_missing

T = TypeVar("T")


class DefinedFacts(Protocol):
    """What is so of one, as far as these have it in common."""

    @property
    def active(self) -> bool: ...

    @property
    def autostart(self) -> bool: ...

    @property
    def definition_xml(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """One noun: libvirt's calls for it, and what it means when they fail. All methods raise errors.HypervisorError."""

    noun: str
    # Of libvirt.virConnect.
    by_uuid: Callable[[Any, bytes], Any]
    by_name: Callable[[Any, str], Any]
    define_xml: Callable[[Any, str], Any]
    definition_of: Callable[[Any], str]
    read: Callable[[Connection, UUID], DefinedFacts | None]
    rules: Sequence[Rule]

    def find_uuid(self, connection: Connection, name: str) -> UUID | None:
        """By its name; None when there is none."""
        with self.translated(f"look for {self.noun} {name}"):
            found = if_there(lambda: self.by_name(connection.raw, name))
            return None if found is None else UUID(bytes=found.UUID())

    def read_definition(self, connection: Connection, uuid: UUID) -> str | None:
        """The XML that it is defined by; None when there is none of this UUID."""
        with self.translated(f"read the {self.noun}'s definition"):
            found = self.find(connection, uuid)
            return None if found is None else self.definition_of(found)

    def define(self, connection: Connection, xml: str) -> UUID:
        """Define it, or change the definition of the one that has its UUID; one that is started goes on as it is.

        Raises: errors.NameTaken, and others.
        """
        with self.translated(f"define the {self.noun}"):
            return UUID(bytes=self.define_xml(connection.raw, xml).UUID())

    def undefine(self, connection: Connection, uuid: UUID) -> None:
        """One that is not there is gone already: no error. A network that runs stays until it is stopped."""
        with self.translated(f"remove the {self.noun}'s definition"):
            found = self.find(connection, uuid)
            if found is not None and found.isPersistent():
                found.undefine()

    def start(self, connection: Connection, uuid: UUID) -> None:
        """One that is started already stays so: no error."""
        with self.translated(f"start the {self.noun}"):
            found = self.get(connection, uuid)
            if not found.isActive():
                found.create()

    def stop(self, connection: Connection, uuid: UUID) -> None:
        """One that is stopped, or gone, is no error."""
        with self.translated(f"stop the {self.noun}"):
            found = self.find(connection, uuid)
            if found is not None and found.isActive():
                found.destroy()

    def set_autostart(self, connection: Connection, uuid: UUID, *, autostart: bool) -> None:
        with self.translated(f"change whether the {self.noun} starts with its host"):
            self.get(connection, uuid).setAutostart(int(autostart))

    def is_active(self, connection: Connection, uuid: UUID) -> bool:
        """False for one that is not there."""
        facts = self.read(connection, uuid)
        return facts is not None and facts.active

    def starts_with_host(self, connection: Connection, uuid: UUID) -> bool | None:
        """None for one that is not there."""
        facts = self.read(connection, uuid)
        return None if facts is None else facts.autostart

    def get(self, connection: Connection, uuid: UUID) -> Any:
        """libvirt's own object. Raises: libvirt.libvirtError."""
        return self.by_uuid(connection.raw, uuid.bytes)

    def find(self, connection: Connection, uuid: UUID) -> Any:
        """The same; None when it is not there. Raises: libvirt.libvirtError."""
        return if_there(lambda: self.get(connection, uuid))

    def translated(self, what: str) -> AbstractContextManager[None]:
        return translated_by(self.rules, what)


def if_there(look_up: Callable[[], T]) -> T | None:
    """What libvirt gives; None when it says that there is none. Raises: libvirt.libvirtError."""
    try:
        return look_up()
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def xml_of_definition(found: Any, inactive_flag: int) -> str:
    """The XML that it is defined by. Raises: libvirt.libvirtError."""
    try:
        return str(found.XMLDesc(inactive_flag))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
            raise
        # libvirt's test driver knows no flags.
        return str(found.XMLDesc(0))
