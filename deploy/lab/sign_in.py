"""Other ways into a host than plain tcp: ssh as root with a key, and SASL with a user and a password."""

import secrets
from pathlib import Path

from deploy.lab.plan import HostPlan, LabPlan
from deploy.lab.process import run

SASL_USERNAME = "vmportal"
# On tcp libvirt wants a mechanism that encrypts, and of Debian's only DIGEST-MD5 and GSSAPI do; SCRAM serves tls.
_SASL_CONFIGURATION = """\
mech_list: scram-sha-256 digest-md5
sasldb_path: /etc/libvirt/passwd.db
"""
_SSHD_CONFIGURATION = """\
ListenAddress {address}
HostKey {directory}/host_key
AuthorizedKeysFile {authorized_keys}
PidFile /run/sshd.pid
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
UseDNS no
PrintMotd no
AcceptEnv none
"""


def make_ssh_key(plan: LabPlan) -> None:
    plan.ssh_key_path.parent.mkdir(mode=0o700)
    _make_key(plan.ssh_key_path, "vmportal lab")


def make_host_ssh(plan: LabPlan, host: HostPlan) -> None:
    directory = host.directory / "ssh"
    directory.mkdir(mode=0o700)
    _make_key(directory / "host_key", host.name)
    configuration = _SSHD_CONFIGURATION.format(
        address=host.address, directory=directory, authorized_keys=plan.ssh_key_path.with_suffix(".pub")
    )
    (directory / "sshd_config").write_text(configuration)


def known_hosts_line(host: HostPlan) -> str:
    kind, key = (host.directory / "ssh" / "host_key.pub").read_text().split()[:2]
    return f"{host.address} {kind} {key}"


def make_sasl_password(plan: LabPlan) -> None:
    """One for the lab, and the file with which a host, or virsh here, signs in to the host that asks for it."""
    password = secrets.token_urlsafe(12)
    _password_file(plan).write_text(password)
    _password_file(plan).chmod(0o600)
    wanting = [name for host in plan.hosts if host.sasl for name in (host.name, host.address)]
    sections = [f"[credentials-lab]\nauthname={SASL_USERNAME}\nusername={SASL_USERNAME}\npassword={password}\n"]
    sections += [f"[auth-libvirt-{name}]\ncredentials=lab\n" for name in wanting]
    client_file(plan).write_text("\n".join(sections))


def sasl_password(plan: LabPlan) -> str:
    return _password_file(plan).read_text()


def client_file(plan: LabPlan) -> Path:
    """libvirt's auth.conf; LIBVIRT_AUTH_FILE names it to a client on this machine."""
    return plan.directory / "auth.conf"


def install_sasl(plan: LabPlan, host: HostPlan, etc: Path) -> None:
    (etc / "sasl2").mkdir(exist_ok=True)
    (etc / "sasl2" / "libvirt.conf").write_text(_SASL_CONFIGURATION)
    if host.sasl:
        _write_password_database(etc / "libvirt" / "passwd.db", sasl_password(plan), realm=host.name)


def _write_password_database(path: Path, password: str, *, realm: str) -> None:
    """`realm`: the host's own name, in which its libvirtd looks the user up."""
    run("saslpasswd2", "-p", "-c", "-a", "libvirt", "-u", realm, "-f", str(path), SASL_USERNAME, text_input=password)


def _make_key(path: Path, comment: str) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))


def _password_file(plan: LabPlan) -> Path:
    return plan.directory / "sasl-password"
