"""Installing unattended: osinfo's answers for the installer, on a medium of their own or in its initial RAM disk."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.cloudinit.checks import hostname_of
from hypervisors.cloudinit.passwords import hashed
from hypervisors.cloudinit.ramdisks import with_files
from hypervisors.cloudinit.seeds import build_iso
from hypervisors.errors import NotPossible
from hypervisors.operations.domains.creation.parameters import (
    CreateDomainParameters,
    UnattendedInstall,
    unattended_install,
)
from hypervisors.osinfo import OperatingSystem, all_systems
from hypervisors.osinfo.install_scripts import InstallConfig, InstallScript, render_install_script, script_profiles


def checked_unattended(given: object) -> UnattendedInstall | None:
    """The answers, with the password hashed. Raises: errors.NotPossible, ValueError."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise NotPossible(_("The answers for the installer are fields with values."))
    answers = unattended_install(given)
    if answers.password:
        answers = replace(answers, password="", password_hash=hashed(answers.password))
    return answers


def check_answers(parameters: CreateDomainParameters) -> None:
    """That the installer can be given them. Raises: errors.NotPossible, ValueError."""
    script = install_script(parameters)
    if not parameters.tree_url and not script.volume_label:
        raise NotPossible(
            _("This installer looks for its answers in its RAM disk only: install it unattended from a URL.")
        )


def install_script(parameters: CreateDomainParameters) -> InstallScript:
    """Raises: errors.NotPossible, ValueError."""
    answers = unattended_install(parameters.unattended or {})
    system = _system(str(parameters.spec.get("system") or ""))
    profiles = script_profiles(system)
    if not profiles:
        raise NotPossible(_("There is no script to install %(system)s unattended.") % {"system": system.name})
    return render_install_script(system, answers.profile or profiles[0], _config(parameters, answers))


def answers_iso(parameters: CreateDomainParameters) -> Iterable[bytes]:
    """The medium that installers look for by its label."""
    script = install_script(parameters)
    return [build_iso({script.file_name: script.content.encode()}, label=script.volume_label)]


def ramdisk_with_answers(ramdisk: Iterable[bytes], parameters: CreateDomainParameters) -> Iterable[bytes]:
    script = install_script(parameters)
    return with_files(ramdisk, {script.file_name: script.content.encode()})


def _system(osinfo_id: str) -> OperatingSystem:
    found = next((one for one in all_systems() if one.osinfo_id == osinfo_id), None)
    if found is None:
        raise NotPossible(_("Say which system it is: the answers for its installer depend on that."))
    return found


def _config(parameters: CreateDomainParameters, answers: UnattendedInstall) -> InstallConfig:
    given: dict[str, Any] = {
        name: getattr(answers, name)
        for name in ("user", "password_hash", "ssh_keys", "timezone", "language", "keyboard")
        if getattr(answers, name)
    }
    bus = parameters.disk_plans[0].bus if parameters.disks else "virtio"
    return InstallConfig(
        hostname=answers.hostname or hostname_of(parameters.name),
        target_disk="/dev/vda" if bus == "virtio" else "/dev/sda",
        tree_url=parameters.tree_url,
        **given,
    )
