"""What only a running machine has, and what it has in other words than the stored definition.

Found by comparing the XML of real guests, running and stored. Everything that is not named here and that the stored
definition does not say either is the hypervisor's own as well, unless a form knows it.
"""

from collections.abc import Mapping

from hypervisors.libvirtxml.hardware.fields import Value, Values

# Parts of any device that say nothing of what it is.
OF_EVERY_DEVICE = frozenset({"alias", "seclabel", "backingStore", "mirror", "privateData"})
# Parts of the domain that are compared as devices, or cannot be changed by a definition.
OF_THE_DOMAIN = frozenset({"devices", "name", "uuid", "seclabel", "resource", "metadata", "genid"})
RUNTIME_PATHS = frozenset({"source/@index", "source/@portid", "target/@state", "@tty"})

# Fields that libvirt fills in while the machine runs, where the stored definition leaves them open.
_FILLED: Mapping[str, frozenset[str]] = {
    "cdrom": frozenset({"format"}),
    "floppy": frozenset({"format"}),
    "graphics": frozenset({"listen_address", "listen_socket", "websocket_port", "render_node"}),
    "serial": frozenset({"source_path", "mode", "socket_path", "host", "service", "tls"}),
    "parallel": frozenset({"source_path", "mode", "socket_path", "tls"}),
    "console": frozenset({"source_path", "mode", "socket_path", "tls"}),
    "channel": frozenset({"source_path", "mode", "socket_path", "tls"}),
    "hostdev_usb": frozenset({"bus", "device"}),
    "filesystem": frozenset({"binary_path", "queue"}),
    "shmem": frozenset({"server_path"}),
    "interface": frozenset({"driver"}),
    "tpm": frozenset({"version"}),
    # We have running guests say how much memory they use (inventory/sessions/memory_reports.py).
    "memballoon": frozenset({"stats_period_seconds"}),
}
# What a card on a network has from there, from its port group or its forward mode.
_FROM_NETWORK = frozenset({
    *("type", "source_bridge", "source_dev", "source_mode", "mtu", "virtualport", "virtualport_profile"),
    *("virtualport_interface", "vlan_tags", "vlan_trunk", "inbound_average", "inbound_peak", "inbound_burst"),
    *("inbound_floor", "outbound_average", "outbound_peak", "outbound_burst", "isolated", "trusts_guest_filters"),
})  # fmt: skip


def is_runtime_field(type_key: str, name: str, live: Values, inactive: Values) -> bool:
    """Whether what differs is the hypervisor's own doing, and not a change that waits."""
    now, then = live.get(name, ""), inactive.get(name, "")
    if type_key == "console" and name == "target_port":
        # Numbered among all consoles in the one, among those on virtio in the other.
        return True
    if type_key == "interface" and inactive.get("type") == "network":
        return _is_from_network(name, live, inactive)
    if type_key in ("cdrom", "floppy") and name == "format":
        return not _has_medium(live) or not _has_medium(inactive)
    return now not in ("", False) and then in ("", False) and name in _FILLED.get(type_key, ())


def _is_from_network(name: str, live: Values, inactive: Values) -> bool:
    if name == "type":
        return live.get("type") in ("bridge", "direct", "hostdev")
    if name in ("source_network", "portgroup") and name not in live:
        # It stands beside the bridge that the network is; the caller compares the text.
        return True
    is_filled = inactive.get(name, "") in ("", False)
    return is_filled and name in (_FROM_NETWORK | _FILLED["interface"])


def _has_medium(values: Values) -> bool:
    return any(values.get(name) for name in ("source_file", "source_dev", "source_volume", "source_name"))


def is_runtime_setting(section_key: str, name: str, live: Values, inactive: Values) -> bool:
    """The same for a section of the domain."""
    tolerated = _SETTINGS.get(section_key)
    return tolerated is not None and tolerated(name, live, inactive)


def _processor(name: str, live: Values, inactive: Values) -> bool:
    if name in ("check", "fallback", "match"):
        return True
    mode = inactive.get("mode")
    if mode in ("host-model", ""):
        # The model that it has got here stands in its place while it runs.
        return live.get("mode") in ("custom", mode, "") and name in ("mode", "model", "features", "migratable")
    if name == "features":
        return _features(inactive).items() <= _features(live).items()
    return name == "cpuset" and inactive.get("placement") == "auto"


def _features(values: Values) -> dict[str, str]:
    """Those that must be so; what is optional is decided when it starts."""
    lines = [line.split() for line in str(values.get("features", "")).splitlines()]
    return {words[0]: words[1] for words in lines if len(words) == 2 and words[1] not in ("optional", "force")}


def _memory(name: str, live: Values, inactive: Values) -> bool:
    # The balloon goes up and down while it runs.
    return name == "current_memory_kib"


def _numa(name: str, live: Values, inactive: Values) -> bool:
    return name == "memory_host_nodes" and inactive.get("memory_placement") == "auto"


def _system(name: str, live: Values, inactive: Values) -> bool:
    """Where the host chooses a firmware, its files stand there only while it runs."""
    chosen = ("firmware", "secure_boot", "enrolled_keys", "loader", "loader_type", "loader_readonly", "loader_secure")
    is_chosen = bool(inactive.get("firmware")) and _ran_with(live) == inactive.get("firmware")
    return is_chosen and name in (*chosen, "nvram", "nvram_template")


def _ran_with(live: Values) -> Value:
    """The firmware that it runs with, where files are named."""
    if live.get("firmware"):
        return live["firmware"]
    return "efi" if live.get("loader_type") == "pflash" else "bios"


def _features_section(name: str, live: Values, inactive: Values) -> bool:
    # Secure boot brings it along.
    return name == "smm" and inactive.get("smm", "") == ""


def _clock(name: str, live: Values, inactive: Values) -> bool:
    # The guest sets its clock.
    return name in ("adjustment_seconds", "basis")


def _tuning(name: str, live: Values, inactive: Values) -> bool:
    return name == "partition" and inactive.get("partition", "") == ""


def _iothreads(name: str, live: Values, inactive: Values) -> bool:
    return name == "iothreads" and inactive.get("iothreads", "") == ""


def _boot(name: str, live: Values, inactive: Values) -> bool:
    # It is told device by device.
    return name == "order"


_SETTINGS = {
    "processor": _processor,
    "memory": _memory,
    "numa": _numa,
    "system": _system,
    "features": _features_section,
    "clock": _clock,
    "tuning": _tuning,
    "iothreads": _iothreads,
    "boot": _boot,
}
