"""The languages of installers' answers, and what osinfo-db's scripts in them are corrected for.

kickstart: https://pykickstart.readthedocs.io · preseed: https://wiki.debian.org/DebianInstaller/Preseed ·
AutoYaST: https://doc.opensuse.org/projects/autoyast. Each script is rendered with tokens in place of passwords, which
then become hashes where the language has a place for them. A token that is left over is an error, never a password.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Nothing in them means anything to a shell, to XML or to an installer.
ADMIN_TOKEN, USER_TOKEN = "vmportaladminpasswordtoken", "vmportaluserpasswordtoken"
_TOKENS = f"({ADMIN_TOKEN}|{USER_TOKEN})"
_Replacement = tuple[re.Pattern[str], str]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """`volume_label`: of a medium on which the installer looks for `file_name` by itself; empty: on none."""

    file_name: str
    volume_label: str
    takes_ssh_keys: bool
    replacements: tuple[_Replacement, ...]

    def corrected(self, content: str, *, user: str, user_hash: str, admin_hash: str, ssh_keys: Sequence[str]) -> str:
        """Raises: ValueError when a password would have to stand in it as it is."""
        for pattern, replacement in self.replacements:
            content = pattern.sub(replacement, content)
        # Marked as hashed by now; the hashes' own text is never searched again.
        hashes = {f"hashed:{ADMIN_TOKEN}": admin_hash, f"hashed:{USER_TOKEN}": user_hash}
        content = re.sub(f"hashed:{_TOKENS}", lambda found: hashes[found.group()], content)
        if re.search(_TOKENS, content):
            raise ValueError("This system's script cannot be given a hashed password.")
        if self.takes_ssh_keys:
            content = _with_user_and_keys(content, user, user_hash, ssh_keys)
        return content.strip() + "\n"


def dialect_of(file_name: str) -> Dialect | None:
    """By the name that a script asks for; None for those that we do not fill in: Windows' want plain passwords."""
    if file_name.endswith(".ks"):
        return _KICKSTART
    return {"preseed.cfg": _PRESEED, "autoinst.xml": _AUTOYAST}.get(file_name)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("TOKEN", _TOKENS), re.MULTILINE)


_KICKSTART = Dialect(
    file_name="ks.cfg",
    volume_label="OEMDRV",
    takes_ssh_keys=True,
    replacements=(
        (_pattern(r"^rootpw 'TOKEN'"), r"rootpw --iscrypted hashed:\1"),
        (_pattern(r"^rootpw dummyPa55w0rd.*$"), rf"rootpw --iscrypted hashed:{ADMIN_TOKEN}"),
        (_pattern(r"--password 'TOKEN'"), r"--iscrypted --password hashed:\1"),
        (_pattern(r"echo 'TOKEN' *\| *passwd --stdin (\S+)"), r"echo '\2:hashed:\1' | chpasswd -e"),
        (_pattern(r"test (-[nz]) 'TOKEN'"), r"test \1 'given'"),
        # Made by the installer's own command instead: only then can it have keys.
        (_pattern(r"^ *useradd -G wheel \S+ # Add user\n"), ""),
    ),
)
_PRESEED = Dialect(
    file_name="preseed.cfg",
    volume_label="",
    takes_ssh_keys=False,
    replacements=(
        (
            _pattern(r"^d-i passwd/(root|user)-password password TOKEN$"),
            r"d-i passwd/\1-password-crypted password hashed:\2",
        ),
        (_pattern(r"^d-i passwd/(root|user)-password-again password TOKEN\n"), ""),
        (_pattern(r"^d-i passwd/username (?!string )(\S+)$"), r"d-i passwd/username string \1"),
    ),
)
_AUTOYAST = Dialect(
    file_name="autoinst.xml",
    volume_label="OEMDRV",
    takes_ssh_keys=False,
    replacements=(
        (
            _pattern(r"<encrypted config:type=\"boolean\">false</encrypted>"),
            '<encrypted config:type="boolean">true</encrypted>',
        ),
        (_pattern(r"<user_password>\s*TOKEN\s*</user_password>"), r"<user_password>hashed:\1</user_password>"),
        (_pattern(r"test (-[nz]) 'TOKEN'"), r"test \1 'given'"),
    ),
)


def _with_user_and_keys(content: str, user: str, user_hash: str, ssh_keys: Sequence[str]) -> str:
    """In the first part of a kickstart file, before its sections."""
    lines = [f'sshkey --username={user or "root"} "{key}"' for key in ssh_keys]
    if user and not re.search(r"^user ", content, re.MULTILINE):
        lines.insert(0, f"user --name={user} --groups=wheel --iscrypted --password={user_hash}")
    before, section, after = content.partition("\n%")
    return "\n".join([before, *lines, ""]) + section + after
