"""For views that change hosts themselves: what they did, for the audit."""

from typing import Any

from django.http import HttpRequest

from hypervisors.access import audit


def note(request: HttpRequest, what: str, /, *, pk: int | None = None, name: str = "", **details: Any) -> None:
    """Record what was done to the host or pool of this id and name. Never pass a secret."""
    kind = "hypervisor_pool" if what.endswith("pool") else "hypervisor"
    key = str(pk or "")
    audit.record(request.user, what, subject_type=kind, subject_key=key, subject_name=name, after=details or None)
