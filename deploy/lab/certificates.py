"""The lab's own certificate authority, and a certificate for each host and for one client (libvirt's tlscerts page)."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from deploy.lab.plan import HostPlan, LabPlan
from deploy.lab.process import run

_DAYS = "3650"


def make_authority_and_client(plan: LabPlan) -> None:
    """The client's directory is as `pkipath=` wants it; the authority's key stays beside, out of it."""
    plan.pki_path.mkdir(parents=True)
    authority = _authority(plan)
    authority.mkdir(mode=0o700)
    # Debian's own configuration would add extensions of its own.
    _configuration(plan).write_text("[req]\ndistinguished_name = none\n[none]\n")
    _make_certificate(
        plan,
        certificate=plan.pki_path / "cacert.pem",
        key=authority / "key.pem",
        common_name=f"vmportal lab {plan.name}",
        extensions=["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"],
    )
    _issue(plan, plan.pki_path, "client", common_name="vmportal", usage="clientAuth")


def make_host_certificate(plan: LabPlan, host: HostPlan) -> None:
    """One pair for a host's four roles: libvirtd and QEMU, each as server and as client of a migration."""
    pki = host.directory / "pki"
    pki.mkdir(parents=True)
    names = f"DNS:{host.name},IP:{host.address}"
    _issue(plan, pki, "host", common_name=host.name, usage="serverAuth,clientAuth", names=names)
    shutil.copy(plan.pki_path / "cacert.pem", pki / "cacert.pem")


def install_host_certificate(host: HostPlan, etc: Path) -> None:
    """Lay it out under the host's /etc where libvirtd and QEMU look."""
    pki = host.directory / "pki"
    for target, source in _LAYOUT.items():
        path = etc / "pki" / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pki / source, path)


_LAYOUT = {
    "CA/cacert.pem": "cacert.pem",
    **{f"libvirt/{role}cert.pem": "hostcert.pem" for role in ("server", "client")},
    **{f"libvirt/private/{role}key.pem": "hostkey.pem" for role in ("server", "client")},
    "qemu/ca-cert.pem": "cacert.pem",
    **{f"qemu/{role}-cert.pem": "hostcert.pem" for role in ("server", "client")},
    **{f"qemu/{role}-key.pem": "hostkey.pem" for role in ("server", "client")},
}


def _issue(plan: LabPlan, directory: Path, stem: str, *, common_name: str, usage: str, names: str = "") -> None:
    extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment"]
    extensions += [f"extendedKeyUsage={usage}"] + ([f"subjectAltName={names}"] if names else [])
    _make_certificate(
        plan,
        certificate=directory / f"{stem}cert.pem",
        key=directory / f"{stem}key.pem",
        common_name=common_name,
        extensions=extensions,
        options=["-CA", str(plan.pki_path / "cacert.pem"), "-CAkey", str(_authority(plan) / "key.pem")],
    )


def _make_certificate(
    plan: LabPlan,
    *,
    certificate: Path,
    key: Path,
    common_name: str,
    extensions: Sequence[str],
    options: Sequence[str] = (),
) -> None:
    run(
        *("openssl", "req", "-x509", "-config", str(_configuration(plan)), "-nodes", "-days", _DAYS),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", f"/CN={common_name}"),
        *("-out", str(certificate), "-keyout", str(key), *options),
        *(part for extension in extensions for part in ("-addext", extension)),
    )


def _configuration(plan: LabPlan) -> Path:
    return _authority(plan) / "openssl.cnf"


def _authority(plan: LabPlan) -> Path:
    return plan.directory / "authority"
