"""Asking for it: the fields of create_domain, what the service itself says against them, and the request."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.domain_builder import build_domain
from hypervisors.models import Hypervisor, Operation
from hypervisors.models.guest_logins import remember_guest_login
from hypervisors.operations.domains.creation.checks import checked, problems_of
from hypervisors.operations.domains.creation.parameters import INSTALLING_METHODS, Method
from hypervisors.operations.domains.creation.requests import numbered, request_creation
from hypervisors.operations.domains.creation.specs import filled_spec, marked
from hypervisors.operations.engine.registry import find_operation_type, operation_type
from hypervisors.operations.engine.requests import request_operation
from hypervisors.web.domains.creation.plans import Findings, count_of

if TYPE_CHECKING:
    from hypervisors.web.domains.creation.forms import Creation

_FROM_XML = "create_domain_from_xml"


def given_of(creation: "Creation", seed: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of CreateDomainParameters; the name may hold "{n}"."""
    draft, host = creation.draft, creation.host
    media = [int(key) for key in (draft.iso, draft.drivers) if draft.method == Method.ISO and key.isdecimal()]
    is_tree, is_answered = draft.method == Method.URL_TREE, creation.is_answered
    told = dict(seed) if seed is not None else None
    return {
        "name": draft.name,
        "hypervisor_id": host.pk if host else 0,
        "method": Method.UNATTENDED if is_answered else draft.method,
        "spec": replace(creation.machine, name="new").to_json(),
        "disks": [disk.plan for disk in creation.planned],
        "media": media,
        "tree_url": draft.tree_url.strip() if is_tree else "",
        "cmdline": draft.cmdline.strip() if is_tree else "",
        "cloud_init": None if is_answered else told,
        "unattended": told if is_answered else None,
        "install": draft.method in INSTALLING_METHODS,
    }


def check_given(creation: "Creation", given: Mapping[str, Any], found: Findings) -> None:
    """What the service would say, beside the fields that it is about."""
    host = creation.host
    if host is None:
        return
    reason = operation_type("create_domain").why_not(host)
    if reason:
        found.wrong("host", reason)
        return
    if "xml" in given:
        _check_xml(host, given, found)
        return
    try:
        first = numbered(given, count_of(creation.draft) or 1)[0]
    except NotPossible as error:
        found.wrong("count", str(error))
        return
    for problem in problems_of(host, first):
        found.wrong(_field_of(problem.field, creation), problem.text)


def _check_xml(host: Hypervisor, given: Mapping[str, Any], found: Findings) -> None:
    kind = find_operation_type(_FROM_XML)
    if kind is None:
        found.wrong("xml", _("Machines cannot be made of XML here."))
        return
    try:
        kind.check(host, given)
    except NotPossible as error:
        found.wrong("xml", str(error))


_FIELDS = {"name": "name", "interfaces": "interfaces", "cloud_init": "cloud_init", "tree_url": "tree_url"}


def _field_of(name: str, creation: "Creation") -> str:
    """Where the page shows what is wrong with this field of the parameters."""
    if name == "media":
        return "iso"
    if creation.is_answered and name in ("method", "unattended"):
        return "answered"
    kind, _dot, number = name.partition(".")
    if kind == "disks":
        rows = creation.planned
        index = int(number) - 1 if number.isdecimal() else -1
        return f"disk-{rows[index].key}" if 0 <= index < len(rows) else "disks"
    return _FIELDS.get(name, "form")


def request(user: User, creation: "Creation", *, start: bool) -> Operation:
    """File it: one machine, or several as parts of one. Raises: what request_creation raises."""
    if "xml" in creation.given:
        parameters = creation.given | {"start": start}
        return request_operation(user=user, kind=_FROM_XML, subject=_host(creation), parameters=parameters)
    made = request_creation(
        user=user,
        given=creation.given | {"start": start},
        hypervisor=_host(creation) if creation.draft.host else None,
        hypervisor_pool=creation.choices.pool,
        count=count_of(creation.draft) or 1,
    )
    seed = creation.given.get("cloud_init") or creation.given.get("unattended")
    if seed:
        remember_guest_login(user, name=seed["user"], ssh_keys=seed["ssh_keys"])
    return made.parent or made.accepted[0]


def xml_of(creation: "Creation") -> str:
    """What libvirt would be given for the first of them. Raises: errors.NotPossible, ValueError."""
    host = _host(creation)
    parameters = checked(host, numbered(creation.given, count_of(creation.draft) or 1)[0])
    return build_domain(marked(filled_spec(parameters, host), parameters, operation=""))


def _host(creation: "Creation") -> Hypervisor:
    if creation.host is None:
        raise NotPossible(_("No host of the pool can take it now."))
    return creation.host
