"""The controls of the page, made of what is filled in and what can be chosen."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from hypervisors.operations.domains.creation.names import MOST_AT_ONCE
from hypervisors.operations.domains.creation.parameters import DiskAction
from hypervisors.web.domains.creation.choices import MOST_IMAGES, Choices, ImageChoice
from hypervisors.web.domains.creation.fields import Field, Fields, Option
from hypervisors.web.domains.creation.sources_of_disks import FROM_IMAGE, action_of, image_of
from hypervisors.web.domains.creation.summaries import is_beyond_free
from hypervisors.web.naming import visible

if TYPE_CHECKING:
    from hypervisors.web.domains.creation.forms import Creation


def controls(creation: "Creation", errors: Mapping[str, str]) -> dict[str, Field]:
    """All but those of disks and cards, by name."""
    make = Fields(creation.values, errors)
    made = [
        *_source_controls(creation, make),
        *_identity_controls(creation, make),
        *_size_controls(make),
        *_advanced_controls(creation, make),
        *_first_boot_controls(creation, make),
        *_answer_controls(creation, make),
    ]
    if creation.draft.overcommitted or is_beyond_free(creation):
        made.append(make.check("overcommitted", _("Make it although its disks can grow beyond what is free")))
    return {field.name: field for field in made}


def _source_controls(creation: "Creation", make: Fields) -> list[Field]:
    choices, draft = creation.choices, creation.draft
    disks = [image for image in choices.images if not image.is_medium and not image.is_appliance]
    made = [
        make.select("iso", _("ISO image"), _images(image for image in choices.images if image.is_medium)),
        make.select("image", _("Cloud image"), _images(disks)),
        make.select("image_way", _("Its disk"), _ways(_("on top of the image (linked: ready at once)"))),
        make.select("imported", _("Disk image"), _images(disks)),
        make.select(
            "imported_way",
            _("Its disk"),
            [Option(value="existing", text=_("the image itself")), Option(value="copy", text=_("a copy of it"))],
        ),
        make.select("template", _("Template"), _templates(choices)),
        make.text(
            "tree_url",
            _("URL of the install tree"),
            placeholder="https://ftp.debian.org/debian/dists/bookworm/main/installer-amd64/",
        ),
        make.text("cmdline", _("Kernel arguments"), is_optional=True, is_code=True),
        make.select("appliance", _("Appliance"), _images(image for image in choices.images if image.is_appliance)),
        make.area("xml", _("XML of the virtual machine"), rows=16, is_code=True, placeholder="<domain type='kvm'>…"),
        make.text("system", _("Operating system"), list_id="systems", hint=_system_hint(creation)),
    ]
    if creation.suggestions.system.is_windows or draft.drivers:
        hint = _(
            "With it Windows can use the fast virtio disk and network card; the installer finds the drivers there."
        )
        media = _images((image for image in choices.images if image.is_medium), none=_("none"))
        made.append(make.select("drivers", _("CD with virtio drivers"), media, hint=hint))
    return made


def _ways(linked: str) -> list[Option]:
    return [Option(value="overlay", text=linked), Option(value="copy", text=_("a full copy"))]


def _system_hint(creation: "Creation") -> str:
    detected = creation.suggestions.detected
    if detected is None:
        return _("Type to search. It decides what is suggested below.")
    return _("Seen in the chosen image: %(name)s") % {"name": detected.name}


def _images(images: Iterable[ImageChoice], *, none: str = "") -> list[Option]:
    shown = list(images)[:MOST_IMAGES]
    first = none or (_("Choose…") if shown else _("none yet"))
    return [Option(value="", text=first), *(_image(image) for image in shown)]


def _image(image: ImageChoice) -> Option:
    """What cannot be used says why, and cannot be chosen."""
    about = visible(image.problem) or image.system_name
    text = f"{image.label} · {about}" if about else image.label
    return Option(value=image.key, text=text, is_disabled=bool(image.problem))


def _templates(choices: Choices) -> list[Option]:
    first = Option(value="", text=_("Choose…") if choices.templates else _("none yet"))
    return [first, *(Option(value=str(one.pk), text=_template_text(one)) for one in choices.templates)]


def _template_text(template: Any) -> str:
    return _("%(name)s, version %(version)d") % {"name": visible(template.name), "version": template.version}


def _identity_controls(creation: "Creation", make: Fields) -> list[Field]:
    hint = _("Each gets a number in place of {n}, or at the end.") if creation.draft.count not in ("", "1") else ""
    pools = [Option(value=str(pool.pk), text=visible(pool.name)) for pool in creation.choices.pools]
    return [
        make.text("name", _("Name"), hint=hint),
        make.number("count", _("How many"), hint=_("at most %(most)d") % {"most": MOST_AT_ONCE} if hint else ""),
        make.text("title", _("Title"), is_optional=True),
        make.area("description", _("Description"), is_optional=True),
        make.select("pool", _("Pool"), pools),
    ]


def _size_controls(make: Fields) -> list[Field]:
    return [make.number("vcpus", _("vCPUs")), make.size("memory", _("Memory"))]


def _advanced_controls(creation: "Creation", make: Fields) -> list[Field]:
    firmware = {"bios": "BIOS", "uefi": "UEFI", "uefi-secure": _("UEFI with Secure Boot")}
    tpm = {"": _("none"), "tpm-crb": _("TPM 2.0"), "tpm-tis": _("TPM 2.0 (TIS)")}
    video = {"virtio": "virtio", "qxl": "QXL", "vga": "VGA", "bochs": "Bochs", "ramfb": "ramfb", "none": _("none")}
    graphics = {"vnc": "VNC", "spice": "SPICE", "none": _("none (serial line only)")}
    suggested = creation.suggestions.texts
    machines = dict.fromkeys([suggested["machine"], "q35", "pc"])
    cpus = {
        suggested["cpu"]: suggested["cpu"].removeprefix("custom:") or _("the hypervisor's default"),
        "host-model": _("like the host's (host-model)"),
        "host-passthrough": _("the host's own (host-passthrough; ties it to equal hosts)"),
        "maximum": _("all that can be emulated (maximum)"),
    }
    return [
        make.select("firmware", _("Firmware"), _options(firmware)),
        make.select("tpm", _("TPM"), _options(tpm)),
        make.select("machine", _("Machine"), _options({name: name for name in machines})),
        make.select("cpu", _("CPU model"), _options(cpus)),
        make.select("graphics", _("Screen"), _options(graphics)),
        make.select("video", _("Video"), _options(video)),
        make.check("autostart", _("Start it with its host")),
    ]


def _first_boot_controls(creation: "Creation", make: Fields) -> list[Field]:
    keys_hint = _("One public key in each line. They are remembered for your next one.")
    data_hint = _("A mapping in YAML (#cloud-config) or a script (#!); it comes after what is said above.")
    return [
        make.text("user", _("User name")),
        make.text(
            "password",
            _("Password"),
            kind="password",
            # An installer asks for one.
            is_optional=not creation.is_answered,
            autocomplete="new-password",
        ),
        make.text("hostname", _("Host name"), is_optional=True, placeholder=_("the machine's name")),
        make.area(
            "ssh_keys", _("SSH keys"), is_optional=True, is_code=True, placeholder="ssh-ed25519 AAAA…", hint=keys_hint
        ),
        make.text("packages", _("Packages"), is_optional=True, placeholder="nginx, htop"),
        make.area("user_data", _("User-data"), is_optional=True, is_code=True, rows=8, hint=data_hint),
    ]


def _answer_controls(creation: "Creation", make: Fields) -> list[Field]:
    profiles = {"jeos": _("small"), "desktop": _("with a desktop")}
    return [
        make.check("answered", _("Install unattended: the installer is answered")),
        make.select("profile", _("Kind of system"), _options({name: profiles[name] for name in creation.profiles})),
        make.text("timezone", _("Time zone"), is_optional=True, placeholder="Etc/UTC"),
        make.text("language", _("Language"), is_optional=True, placeholder="en_US"),
        make.text("keyboard", _("Keyboard"), is_optional=True, placeholder=_("that of the language")),
    ]


def _options(texts: Mapping[str, str]) -> list[Option]:
    return [Option(value=value, text=text) for value, text in texts.items()]


def disk_controls(creation: "Creation", errors: Mapping[str, str]) -> list[dict[str, Any]]:
    """One for each line: its title, its controls, whether it can be taken away."""
    make = Fields(creation.values, errors)
    return [_disk(creation, make, number, row.key) for number, row in enumerate(creation.draft.disks, start=1)]


def _disk(creation: "Creation", make: Fields, number: int, key: str) -> dict[str, Any]:
    draft, choices = creation.draft, creation.choices
    row, name = draft.disk(key), f"disk-{key}"
    action, image = action_of(draft, row), image_of(draft, row, choices)
    is_source = key == "1" and draft.method in FROM_IMAGE
    fields: dict[str, Field] = {"bus": make.select(f"{name}-bus", _("Bus"), _options(_BUSES))}
    if not is_source:
        fields["source"] = make.select(f"{name}-source", _("Made of"), _options(_sources()))
        if action != DiskAction.NEW:
            disks = [one for one in choices.images if not one.is_medium and not one.is_appliance]
            fields["volume"] = make.select(f"{name}-volume", _("Volume"), _images(disks))
    if action != DiskAction.EXISTING:
        fields["storage"] = make.select(f"{name}-storage", _("Storage pool"), _storages(choices))
        fields["size"] = make.size(f"{name}-size", _("Size"))
        if action != DiskAction.OVERLAY:
            fields["format"] = make.select(f"{name}-format", _("Format"), _options({"qcow2": "qcow2", "raw": "raw"}))
    return {
        "key": key,
        "title": _disk_title(number, action, image),
        "fields": fields,
        "can_go": not is_source,
        "error": make.error(name),
    }


_BUSES = {"virtio": "virtio", "scsi": "SCSI (virtio)", "sata": "SATA", "ide": "IDE", "usb": "USB"}


def _sources() -> dict[str, str]:
    return {
        DiskAction.NEW: _("new, empty"),
        DiskAction.EXISTING: _("an existing volume"),
        DiskAction.COPY: _("a copy of a volume"),
        DiskAction.OVERLAY: _("on top of a volume"),
    }


def _disk_title(number: int, action: str, image: ImageChoice | None) -> str:
    title = _("Disk %(number)d") % {"number": number}
    if image is None:
        return title
    words = {DiskAction.COPY: _("copy of"), DiskAction.OVERLAY: _("on top of")}.get(DiskAction(action), "")
    return f"{title} · {words} {visible(image.volume.name)}".replace("  ", " ")


def _storages(choices: Choices) -> list[Option]:
    if not choices.storages:
        return [Option(value="", text=_("no storage pool is active"))]
    count = len(choices.hosts)
    return [Option(value=storage.key, text=storage.label(count)) for storage in choices.storages]


def card_controls(creation: "Creation", errors: Mapping[str, str]) -> list[dict[str, Any]]:
    make = Fields(creation.values, errors)
    return [_card(creation, make, number, row.key) for number, row in enumerate(creation.draft.interfaces, start=1)]


def _card(creation: "Creation", make: Fields, number: int, key: str) -> dict[str, Any]:
    name, choices = f"interface-{key}", creation.choices
    row = next(one for one in creation.draft.interfaces if one.key == key)
    models = {model: model for model in ("virtio", "e1000e", "e1000", "rtl8139")}
    ways = {"dhcp": _("by DHCP"), "static": _("static")}
    fields = {
        "network": make.select(f"{name}-network", _("Plugged into"), _networks(choices)),
        "model": make.select(f"{name}-model", _("Model"), _options(models)),
        "mac": make.text(f"{name}-mac", _("MAC address"), is_optional=True, placeholder=_("a free one"), is_code=True),
        "addressing": make.select(f"{name}-addressing", _("Address in the guest"), _options(ways)),
    }
    if row.network == "bridge":
        fields["bridge"] = make.text(f"{name}-bridge", _("Name of the bridge"), placeholder="br0")
    if row.addressing == "static":
        fields["address"] = make.text(f"{name}-address", _("Address"), placeholder="192.0.2.10/24")
        fields["gateway"] = make.text(f"{name}-gateway", _("Gateway"), is_optional=True, placeholder="192.0.2.1")
        fields["nameservers"] = make.text(f"{name}-nameservers", _("Name servers"), is_optional=True)
    return {"key": key, "title": _("Network card %(number)d") % {"number": number}, "fields": fields}


def _networks(choices: Choices) -> list[Option]:
    count = len(choices.hosts)
    return [
        *(Option(value=network.key, text=network.label(count)) for network in choices.networks),
        Option(value="bridge", text=_("a bridge of the host…")),
        Option(value="user", text=_("QEMU's own NAT (no one reaches the guest)")),
    ]
