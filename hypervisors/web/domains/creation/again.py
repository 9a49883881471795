"""The page filled in as it was for a creation that failed, was cancelled, or is to be done once more."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from hypervisors.models import Operation
from hypervisors.operations.domains.creation.parameters import DiskAction, Method
from hypervisors.osinfo import find_system
from hypervisors.web.domains.creation.fields import size_text
from hypervisors.web.domains.creation.sources_of_disks import FROM_IMAGE


def values_again(user: User, operation_id: str) -> dict[str, str]:
    """What was filled in, but for secrets; empty when there is no such creation that the person may see."""
    try:
        found = Operation.objects.visible_to(user).filter(pk=UUID(operation_id), kind="create_domain").first()
    except ValueError:
        return {}
    return {} if found is None else values_from(found.parameters)


def values_from(given: Mapping[str, Any]) -> dict[str, str]:
    spec: Mapping[str, Any] = given.get("spec") or {}
    media = [str(key) for key in given.get("media") or ()]
    system = find_system(str(spec.get("system") or ""))
    values = {
        "method": _method(given),
        "answered": "on" if given.get("unattended") else "",
        "name": str(given.get("name", "")),
        "count": "1",
        "host": "best" if given.get("placement_reason") else str(given.get("hypervisor_id", "")),
        "iso": media[0] if media else "",
        "drivers": media[1] if len(media) > 1 else "",
        "tree_url": str(given.get("tree_url", "")),
        "cmdline": str(given.get("cmdline", "")),
        "title": str(spec.get("title", "")),
        "description": str(spec.get("description", "")),
        "firmware": "uefi-secure" if spec.get("secure_boot") else str(spec.get("firmware", "bios")),
        "tpm": str(spec.get("tpm", "")),
        "vcpus": str(spec.get("vcpus", 1)),
    }
    if system is not None:
        values["system"] = system.name
    values |= _sized("memory", "memory_unit", int(spec.get("memory_kib") or 0) * 1024)
    return values | _disks(given, values["method"]) | _cards(spec)


def _method(given: Mapping[str, Any]) -> str:
    """As the page calls it."""
    if given.get("method") == Method.UNATTENDED:
        return Method.URL_TREE if given.get("tree_url") else Method.ISO
    return str(given.get("method", Method.ISO))


def _sized(name: str, unit: str, count_bytes: int) -> dict[str, str]:
    return dict(zip((name, unit), size_text(count_bytes).split(" "), strict=True)) if count_bytes else {}


def _disks(given: Mapping[str, Any], method: str) -> dict[str, str]:
    values = {}
    plans = [plan for plan in given.get("disks") or () if isinstance(plan, Mapping)]
    for number, plan in enumerate(plans, start=1):
        name, source = f"disk-{number}", str(plan.get("source_volume_id") or "")
        values[f"{name}-source"] = str(plan.get("action", DiskAction.NEW))
        values[f"{name}-volume"] = source
        values[f"{name}-storage"] = str(plan.get("storage_pool_id") or "")
        values[f"{name}-format"] = str(plan.get("format", "qcow2"))
        values |= _sized(f"{name}-size", f"{name}-unit", int(plan.get("capacity_bytes") or 0))
    values["disk"] = " ".join(str(number) for number in range(1, len(plans) + 1))
    if method in FROM_IMAGE and plans:
        field = "image" if method == Method.CLOUD_IMAGE else "imported"
        values[field] = values["disk-1-volume"]
        if plans[0].get("action") in (DiskAction.COPY, DiskAction.IMPORT):
            values[f"{field}_way"] = "copy"
    return values


def _cards(spec: Mapping[str, Any]) -> dict[str, str]:
    values = {}
    cards = [card for card in spec.get("interfaces") or () if isinstance(card, Mapping)]
    for number, card in enumerate(cards, start=1):
        kind, source = str(card.get("kind", "network")), str(card.get("source", ""))
        values[f"interface-{number}-network"] = f"network:{source}" if kind == "network" else kind
        values[f"interface-{number}-bridge"] = source if kind == "bridge" else ""
        values[f"interface-{number}-model"] = str(card.get("model", "virtio"))
    values["interface"] = " ".join(str(number) for number in range(1, len(cards) + 1))
    return values
