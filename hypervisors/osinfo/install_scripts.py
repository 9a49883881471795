"""Answers for installers: osinfo-db's scripts (kickstart, preseed, AutoYaST) filled in for one machine.

What people typed goes in as data: it is checked first for what the scripts can carry, since they quote nothing.
Passwords are only ever given as crypt(5) hashes; the scripts, which want them plain, are corrected for that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lxml import etree

from hypervisors.osinfo.database import Database, database
from hypervisors.osinfo.entries import elements_of
from hypervisors.osinfo.script_dialects import ADMIN_TOKEN, USER_TOKEN, Dialect, dialect_of
from hypervisors.osinfo.systems import Medium, OperatingSystem

PROFILES = ("jeos", "desktop")  # a small system; one with a desktop


@dataclass(frozen=True, kw_only=True)
class InstallConfig:
    """What the installer is told. Raises: ValueError, fit for an operator, for what no script can carry.

    Without a root password of its own, root has the user's.
    """

    user: str = ""
    user_name: str = ""  # in full
    password_hash: str = ""
    root_password_hash: str = ""
    ssh_keys: tuple[str, ...] = ()
    hostname: str = "localhost"
    timezone: str = "Etc/UTC"
    language: str = "en_US"
    keyboard: str = ""  # empty: that of the language
    target_disk: str = "/dev/vda"
    tree_url: str = ""  # where packages come from, of an installation over the network

    def __post_init__(self) -> None:
        for name, (pattern, words) in _CHECKS.items():
            value = getattr(self, name)
            if value and not pattern.fullmatch(value):
                raise ValueError(f"The {words}.")
        for key in self.ssh_keys:
            if not _SSH_KEY.fullmatch(key):
                raise ValueError("An SSH key is one line such as “ssh-ed25519 AAAA… name@host”.")
        if not self.password_hash and not self.root_password_hash:
            raise ValueError("An unattended installation needs a password.")
        if self.user == "root":
            raise ValueError("The user cannot be called “root”; root has the same password.")


@dataclass(frozen=True, kw_only=True)
class InstallScript:
    """What goes on a medium of its own with this label, or to the end of the initial RAM disk.

    Installers look for `file_name` on media called `volume_label` by themselves; where it is empty, only the RAM disk
    will do, and `command_line` is for the installer's kernel.
    """

    file_name: str
    content: str
    volume_label: str
    command_line: str
    needs_network: bool
    # What of the configuration this script does not take, in words.
    notes: tuple[str, ...] = ()


def script_profiles(
    system: OperatingSystem, *, medium: Medium | None = None, source: Database | None = None
) -> tuple[str, ...]:
    """The profiles that the system can be installed with unattended, the smaller first; empty: none.

    `medium`: what is installed from, if that is known: live media and some installers take no script.
    """
    if medium is not None and not medium.takes_script:
        return ()
    found = {profile for profile, _element in _scripts(system, source or database())}
    return tuple(profile for profile in PROFILES if profile in found)


def render_install_script(
    system: OperatingSystem,
    profile: str,
    config: InstallConfig,
    *,
    medium: Medium | None = None,
    source: Database | None = None,
) -> InstallScript:
    """`medium`: what is installed from; None: over the network. Raises: ValueError when there is no such script."""
    chosen = next((found for found in _scripts(system, source or database()) if found[0] == profile), None)
    if chosen is None:
        raise ValueError(f"{system.name} has no script to install “{profile}” unattended.")
    script, dialect = chosen[1], dialect_of(chosen[1].findtext("expected-filename", ""))
    assert dialect is not None
    keyboards = _datamap("http://x.org/x11-keyboard", source or database())
    content, command_line = (
        _transform(script, _document(root, system, script, config, medium, keyboards, dialect.file_name))
        for root in ("install-script-config", "command-line")
    )
    user_hash = config.password_hash or config.root_password_hash
    return InstallScript(
        file_name=dialect.file_name,
        content=dialect.corrected(
            content,
            user=config.user,
            user_hash=user_hash,
            admin_hash=config.root_password_hash or user_hash,
            ssh_keys=config.ssh_keys,
        ),
        volume_label=dialect.volume_label,
        command_line=" ".join(command_line.split()),
        needs_network=script.findtext("needs-internet") == "true" or medium is None,
        notes=_notes(dialect, config),
    )


_NO_ACCESS = etree.XSLTAccessControl.DENY_ALL  # type: ignore[attr-defined]
_SSH_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( [\w@.+: -]*)?", re.ASCII)
_CHECKS = {
    "user": (re.compile(r"[a-z_][a-z0-9_-]{0,31}"), "user's login has small letters, digits, “-” and “_” only"),
    "user_name": (re.compile(r"[\w .-]{1,80}"), "user's full name has letters, digits, spaces, “.” and “-” only"),
    "password_hash": (re.compile(r"\$[A-Za-z0-9./$=,+-]{10,200}"), "password is given as a crypt(5) hash"),
    "root_password_hash": (re.compile(r"\$[A-Za-z0-9./$=,+-]{10,200}"), "root password is given as a crypt(5) hash"),
    "hostname": (
        re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*"),
        "host name has letters, digits, “-” and “.” only",
    ),
    "timezone": (re.compile(r"[A-Za-z]+(/[A-Za-z0-9_+-]+){0,2}"), "time zone is one such as “Europe/Berlin”"),
    "language": (re.compile(r"[a-z]{2,3}(_[A-Z]{2})?"), "language is one such as “de_DE”"),
    "keyboard": (re.compile(r"[a-z]{2,12}( \([a-z0-9_-]{1,20}\))?"), "keyboard layout is one such as “de”"),
    "target_disk": (re.compile(r"/dev/[a-z0-9]{2,20}"), "disk to install on is one such as “/dev/vda”"),
    "tree_url": (re.compile(r"https?://[A-Za-z0-9._~:/@%+=-]{1,500}"), "installation tree is an http or https URL"),
}


def _scripts(system: OperatingSystem, source: Database) -> list[tuple[str, etree._Element]]:
    """(profile, element) of those that we can fill in."""
    found = []
    for path in source.script_files() if system.install_scripts else ():
        for element in elements_of(path, "install-script"):
            dialect = dialect_of(element.findtext("expected-filename", ""))
            if element.get("id") in system.install_scripts and dialect is not None:
                found.append((element.findtext("profile", ""), element))
    return found


def _document(
    root: str,
    system: OperatingSystem,
    script: etree._Element,
    config: InstallConfig,
    medium: Medium | None,
    keyboards: Mapping[str, str],
    file_name: str,
) -> etree._ElementTree:
    """What libosinfo gives the stylesheets: elements with texts, and empty ones for what is not given."""
    top = etree.Element(root)
    described = {
        "short-id": system.short_id,
        "version": system.version,
        "distro": system.distro,
        "name": system.name,
    }
    _fill(etree.SubElement(top, "os"), described)
    told = {
        "profile": script.findtext("profile", ""),
        "expected-filename": file_name,
        "preferred-injection-method": "initrd",
        "installation-source": "media" if medium is not None else "network",
    }
    _fill(etree.SubElement(top, "script"), told)
    if medium is not None:
        media = etree.SubElement(top, "media")
        _fill(media, {"arch": medium.arch})
        for variant in medium.variants:
            etree.SubElement(media, "variant").text = variant
    _fill(etree.SubElement(top, "tree"), {"url": config.tree_url})
    _fill(etree.SubElement(top, "config"), _values(config, keyboards))
    etree.SubElement(top[-1], "hardware-arch").text = "x86_64" if medium is None else medium.arch
    return etree.ElementTree(top)


def _values(config: InstallConfig, keyboards: Mapping[str, str]) -> dict[str, str]:
    return {
        "admin-password": ADMIN_TOKEN,
        "user-login": config.user,
        "user-realname": config.user_name or config.user,
        "user-password": USER_TOKEN if config.user else "",
        "hostname": config.hostname,
        "l10n-timezone": config.timezone,
        "l10n-language": config.language,
        "l10n-keyboard": config.keyboard or keyboards.get(config.language, "us"),
        "target-disk": config.target_disk,
        "installation-url": config.tree_url,
    }


def _fill(element: etree._Element, texts: Mapping[str, str]) -> None:
    for tag, text in texts.items():
        etree.SubElement(element, tag).text = text


def _transform(script: etree._Element, document: etree._ElementTree) -> str:
    """Raises: ValueError when the stylesheet is broken. It reads and writes nothing."""
    sheet = script.find("template/*")
    if sheet is None:
        raise ValueError("The installation script of the operating system database is empty.")
    try:
        transform = etree.XSLT(etree.ElementTree(sheet), access_control=_NO_ACCESS)
        return str(transform(document))
    except (etree.XSLTError, etree.XMLSyntaxError) as error:
        raise ValueError(f"The installation script of the operating system database is broken: {error}.") from error


def _datamap(identifier: str, source: Database) -> dict[str, str]:
    for path in source.datamap_files():
        for element in elements_of(path, "datamap"):
            if element.get("id") == identifier:
                return {entry.get("inval", ""): entry.get("outval", "") for entry in element.iterchildren("entry")}
    return {}


def _notes(dialect: Dialect, config: InstallConfig) -> tuple[str, ...]:
    if config.ssh_keys and not dialect.takes_ssh_keys:
        return ("This installer's script takes no SSH keys: sign in with the password first.",)
    return ()
