"""How much a machine's host has of what is given out here; for who may see the host."""

from collections.abc import Mapping
from dataclasses import replace

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisors.access import can
from hypervisors.models import Domain
from hypervisors.privileges import Privilege
from hypervisors.templatetags.units import memory
from hypervisors.web.domains.hardware.controls import Control


def with_host_limits(controls: Mapping[str, Control], domain: Domain, user: User | AnonymousUser) -> dict[str, Control]:
    """The controls of the processor or the memory, whose help says it too; those of others as they are."""
    made = dict(controls)
    for name, words in _words(domain, user).items():
        if name in made:
            made[name] = replace(made[name], hint=f"{made[name].hint} {words}".strip())
    return made


def _words(domain: Domain, user: User | AnonymousUser) -> dict[str, str]:
    host = domain.hypervisor
    if host is None or not can(user, Privilege.HYPERVISOR_VIEW, host):
        return {}
    words = {}
    if host.cpu_count:
        text = ngettext("Its host has %(count)d CPU.", "Its host has %(count)d CPUs.", host.cpu_count)
        words["vcpus_max"] = text % {"count": host.cpu_count}
    if host.memory_kib:
        words["memory_kib"] = _("Its host has %(size)s.") % {"size": memory(host.memory_kib)}
    return words
