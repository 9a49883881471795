"""From a domain to an open link to its screen, and from a link that ended to the reason."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from hypervisors.console.access import current_hypervisor_id, find_libvirt_uuid, is_migrating
from hypervisors.console.closing import HYPERVISOR_CLOSED, MOVED, UNREACHABLE, ConsoleClosed
from hypervisors.errors import ConnectionTimedOut, HypervisorError, InvalidUri, NotFound, NotPossible
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.consoles.display_links import DisplayLink, open_display_link
from hypervisors.gateway.consoles.displays import DomainOff, VncDisplay, read_vnc_display
from hypervisors.gateway.domains.reading import DomainFacts, read_domain
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Hypervisor
from hypervisors.states import ACTIVE_DOMAIN_STATES

logger = logging.getLogger(__name__)

# A frozen libvirt holds a call up until its keepalive fails; no session waits for that.
_ASK_SECONDS = 9
_Answer = TypeVar("_Answer")


def open_target(hypervisor: Hypervisor, uuid: UUID) -> DisplayLink:
    """By libvirt's UUID: ask libvirt where the domain's screen is now, and connect. Raises: ConsoleClosed."""
    try:
        endpoint = endpoint_of(hypervisor)
        display = _within(_ASK_SECONDS, lambda: _ask_display(endpoint, uuid))
        return open_display_link(endpoint, display)
    except NotFound as error:
        # Between a migration and the inventory's next look.
        raise ConsoleClosed(MOVED, f"It is not on {hypervisor.name} any more.") from error
    except DomainOff as error:
        raise ConsoleClosed(HYPERVISOR_CLOSED, str(error)) from error
    except (HypervisorError, InvalidUri, NotPossible) as error:
        logger.warning("The console of %s on %s cannot be reached: %s", uuid, hypervisor.name, error)
        raise ConsoleClosed(UNREACHABLE, str(error)) from error


def why_it_closed(hypervisor: Hypervisor, uuid: UUID) -> ConsoleClosed:
    """After the VNC server hung up: did the domain move, stop, or only close this connection?"""
    try:
        endpoint = endpoint_of(hypervisor)
        libvirt_uuid = find_libvirt_uuid(uuid)
        facts = _within(_ASK_SECONDS, lambda: read_domain(cached_connection(endpoint), libvirt_uuid))
    except (HypervisorError, InvalidUri) as error:
        return ConsoleClosed(UNREACHABLE, str(error))
    if facts is not None and facts.state in ACTIVE_DOMAIN_STATES:
        return ConsoleClosed(HYPERVISOR_CLOSED, "The hypervisor closed the connection.")
    if _has_moved(facts, hypervisor, uuid):
        return ConsoleClosed(MOVED, "The virtual machine moved to another host.")
    return ConsoleClosed(HYPERVISOR_CLOSED, "The virtual machine is off.")


def _has_moved(facts: DomainFacts | None, hypervisor: Hypervisor, uuid: UUID) -> bool:
    # Gone from its host a moment after it ran there: a migration that undefined it (or the end of a transient one).
    left = facts is None or facts.state_reason == "migrated"
    return left or is_migrating(uuid) or current_hypervisor_id(uuid) not in (None, hypervisor.pk)


def _ask_display(endpoint: Endpoint, uuid: UUID) -> VncDisplay:
    return read_vnc_display(cached_connection(endpoint), uuid)


def _within(seconds: float, ask: Callable[[], _Answer]) -> _Answer:
    """The answer, or errors.ConnectionTimedOut; a call that hangs goes on in a thread that is left behind."""
    answers: queue.SimpleQueue[_Answer | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(ask())
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            answers.put(error)

    threading.Thread(target=run, name="console-ask", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise ConnectionTimedOut("The host's libvirt does not answer.") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer
