"""What a machine's guest says of itself, for its page: what there is, or how to get there; and what it can be asked."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.cloudinit.ssh_keys import read_ssh_key
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Domain, DomainDefinition, GuestFacts, GuestSshKeys
from hypervisors.models.domains import CONNECTED_AGENT
from hypervisors.models.rights import Requester
from hypervisors.operations.domains.guest.agents import has_agent_channel
from hypervisors.operations.engine.requests import request_operation
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.domains.actions import guest_actions
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import person

_CHANNEL = {"type": "unix", "target_type": "virtio", "target_name": "org.qemu.guest_agent.0"}


def guest_context(machine: Domain, user: Requester) -> dict[str, Any]:
    """`state`: "told", "waited", "silent" (an agent that does not answer), or one of _without_agent's; "": nothing.

    Of a machine that is off, what its guest last said.
    """
    definition = DomainDefinition.objects.filter(domain=machine).only("live_xml", "inactive_xml").first()
    row = GuestFacts.objects.filter(domain=machine).first()
    has_said = row is not None and row.answered_at is not None
    is_connected = definition is not None and CONNECTED_AGENT in definition.live_xml
    if not machine.is_active or definition is None:
        state = "told" if has_said else ""
    elif is_connected:
        state = "silent" if row is not None and row.problem else "told" if has_said else "waited"
    else:
        state = _without_agent(definition)
    facts = row.facts if row is not None and has_said else {}
    return {
        "state": state,
        "row": row,
        "facts": facts,
        "file_systems": [_with_share(one) for one in facts.get("file_systems", ()) if one["total_bytes"]],
        "addresses": row.addresses if row is not None else {},
        "actions": guest_actions(machine, user) if is_connected else [],
        "accounts": _accounts(machine) if is_connected and can(user, Privilege.DOMAIN_CONFIGURE, machine) else [],
        "may_add_channel": state == "no_channel" and can(user, Privilege.DOMAIN_CONFIGURE, machine),
        "is_windows": "windows" in machine.os_name.lower(),
    }


@require_POST
def add_agent_channel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Gives the machine the channel through which an agent is asked: at once where it runs and has room for one."""
    seen = Domain.objects.visible_to(request.user).select_related("hypervisor")
    machine = get_object_or_404(seen, uuid=uuid)
    when = "now" if machine.is_active and _has_room(machine) else "next_start"
    parameters = {"device_type": "channel", "values": dict(_CHANNEL), "when": when}
    try:
        operation = request_operation(user=person(request), kind="add_device", subject=machine, parameters=parameters)
    except (Conflict, NotPossible) as error:
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    text = _("%(name)s: channel for the guest agent") % {"name": machine.name}
    return done(request, text, back=machine, operation=operation)


def _accounts(machine: Domain) -> list[dict[str, Any]]:
    """Whose SSH keys somebody has asked for."""
    rows = GuestSshKeys.objects.filter(domain=machine)
    return [{"user": row.user, "read_at": row.read_at, "keys": [read_ssh_key(key) for key in row.keys]} for row in rows]


def _has_room(machine: Domain) -> bool:
    """A channel is plugged into a controller that cannot be added to what runs."""
    controller = "<controller type='virtio-serial'"
    return DomainDefinition.objects.filter(domain=machine, live_xml__contains=controller).exists()


def _without_agent(definition: DomainDefinition) -> str:
    if has_agent_channel(definition.live_xml):
        return "absent"
    return "next_start" if has_agent_channel(definition.inactive_xml) else "no_channel"


def _with_share(system: dict[str, Any]) -> dict[str, Any]:
    return {**system, "percent": min(100, round(100 * system["used_bytes"] / system["total_bytes"]))}


urlpatterns = [path("vms/<uuid:uuid>/guest/channel/", add_agent_channel, name="domain_agent_channel")]
