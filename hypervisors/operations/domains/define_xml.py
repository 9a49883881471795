"""Define a machine as somebody has written its XML, if it is still what they saw; it counts from its next start.

XML reaches every file and device of the host: it takes the right to manage that, as making a machine of XML does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from lxml import etree

from hypervisors.errors import NotPossible
from hypervisors.gateway.domains.typed_definitions import define_typed, read_stored
from hypervisors.libvirtxml.documents import parse_document, text_at
from hypervisors.libvirtxml.typed_documents import read_typed, written
from hypervisors.models import Domain, Operation
from hypervisors.operations.domains.creation.names import machine_with_mac
from hypervisors.operations.domains.domain_operations import DomainOperation, transient
from hypervisors.operations.domains.hardware.checks import checked_base, definition_of, host_of
from hypervisors.operations.domains.hardware.guards import needs_to_become
from hypervisors.operations.domains.named_storage import named_volumes, storage_problem
from hypervisors.operations.domains.typed_xml import TypedXml
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class DefineXmlParameters:
    """`xml` is written anew from what was typed; `base_sha256` is of the XML that it was made of.

    `macs`: those that are new in it. `by_schema` False: what libvirt's schema does not know is passed over.
    """

    base_sha256: str
    xml: str = ""
    by_schema: bool = True
    macs: tuple[str, ...] = ()


class DefineXml(DomainOperation):
    kind = "define_xml"
    label = gettext_lazy("Edit XML")
    icon = "file-code"
    privilege = Privilege.DOMAIN_CONFIGURE
    obstacles = (transient,)
    Parameters: ClassVar[type[Any]] = DefineXmlParameters
    # It may hold the passwords of screens and storage.
    secret_parameters = frozenset({"xml"})

    def is_offered(self, domain: Domain) -> bool:
        # The XML page offers it, no menu does.
        return False

    def also_needs(
        self, domain: Domain, parameters: DefineXmlParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        before = definition_of(domain).inactive_xml
        return [(Privilege.HYPERVISOR_MANAGE, domain.hypervisor), *needs_to_become(domain, before, parameters.xml)]

    def check(self, domain: Domain, given: Mapping[str, Any]) -> DefineXmlParameters:
        definition = definition_of(domain)
        base, before = checked_base(given, definition), definition.inactive_xml
        if not base or not before:
            raise NotPossible(_("Say which XML it was made of."))
        try:
            root = read_typed(str(given.get("xml") or ""), root="domain")
        except ValueError as error:
            raise NotPossible(str(error)) from error
        _check_identity(root, before)
        if says_the_same(root, before):
            raise NotPossible(_("Nothing is changed. (libvirt keeps no comments.)"))
        xml = written(root)
        macs = _new_macs(domain, root, before)
        problem = storage_problem(named_volumes(host_of(domain), xml, before=before), domain=domain)
        if problem:
            raise NotPossible(problem)
        by_schema = given.get("by_schema", True) is True
        return DefineXmlParameters(base_sha256=base, xml=xml, by_schema=by_schema, macs=macs)

    def locks(self, domain: Domain, parameters: DefineXmlParameters) -> tuple[str, ...]:
        """The addresses and the disks that it gets, too: two machines must not both get them."""
        host = host_of(domain)
        named = named_volumes(host, parameters.xml, before=definition_of(domain).inactive_xml)
        macs = (f"mac:{host.hypervisor_pool_id}/{mac}" for mac in parameters.macs)
        return (*super().locks(domain, parameters), *macs, *{one.lock_key: 0 for one in named if one.is_written})

    def parameters_of(self, operation: Operation) -> DefineXmlParameters:
        stored: DefineXmlParameters = super().parameters_of(operation)
        return DefineXmlParameters(**(vars(stored) | {"macs": tuple(stored.macs)}))

    def run(self, run: Run) -> Result:
        wanted: DefineXmlParameters = run.parameters
        typed = TypedXml(
            xml=wanted.xml,
            base_sha256=wanted.base_sha256,
            define=lambda connection, write: define_typed(
                connection, run.uuid, write, base_sha256=wanted.base_sha256, by_schema=wanted.by_schema
            ),
            read=lambda connection: read_stored(connection, run.uuid),
            done=_done(run),
            replaced=_("The worker that did this was interrupted; the definition is another by now."),
        )
        return typed.run(run)


def says_the_same(root: etree._Element, xml: str) -> bool:
    """Whether both say the same, however they are written. Raises: ValueError."""
    return _canonical(root) == _canonical(parse_document(xml))


def _canonical(root: etree._Element) -> str:
    return str(etree.canonicalize(written(root), strip_text=True))


def _done(run: Run) -> str:
    operation: Operation = run.operation
    if operation.domain is not None and operation.domain.is_active:
        return _("It is defined so; that counts from its next start on.")
    return _("It is defined so.")


def _check_identity(root: etree._Element, before: str) -> None:
    """Raises: errors.NotPossible."""
    known = parse_document(before)
    if text_at(root, "name") != text_at(known, "name"):
        raise NotPossible(
            _("Its name stays “%(name)s” here: rename it by “Rename”.") % {"name": text_at(known, "name")}
        )
    if text_at(root, "uuid").lower() != text_at(known, "uuid").lower():
        raise NotPossible(
            _("Its UUID stays %(uuid)s: with another it would be another machine, which is made by “New”.")
            % {"uuid": text_at(known, "uuid")}
        )


def _new_macs(domain: Domain, root: etree._Element, before: str) -> tuple[str, ...]:
    """Raises: errors.NotPossible when one is another machine's."""
    new = [mac for mac in _macs(root) if mac not in _macs(parse_document(before))]
    for mac in new:
        if machine_with_mac(mac, host_of(domain).hypervisor_pool, apart_from=domain):
            raise NotPossible(_("The MAC address %(mac)s is in use in the pool.") % {"mac": mac})
    return tuple(dict.fromkeys(new))


def _macs(root: etree._Element) -> list[str]:
    found = (mac.get("address", "").lower() for mac in root.iterfind("devices/interface/mac"))
    return [mac for mac in found if mac]
