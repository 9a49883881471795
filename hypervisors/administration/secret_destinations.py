"""Where a stored secret may go: only to the machine that it was stored for. Elsewhere it must be typed again.

Whoever may change a host's address need not know its password; without this rule, they would learn it by having it
sent to a machine of their own.
"""

from collections.abc import Mapping

from django.conf import settings

from hypervisors.errors import InvalidUri
from hypervisors.gateway.known_hosts import usable_host_keys
from hypervisors.gateway.uris import HypervisorUri, parse_uri
from hypervisors.models.hypervisor_credentials import SECRETS

# What else than transport, address, port and user makes the machine the one that it was.
_VOUCHERS = {
    "sasl_password": ("sasl_username", "tls_ca_certificate"),
    "ssh_private_key": (),
    "tls_client_key": ("tls_ca_certificate",),
}


def misdirected_secrets(
    former_uri: str, former: Mapping[str, str], uri: str, wanted: Mapping[str, str], *, typed: frozenset[str]
) -> dict[str, str]:
    """The stored secrets, by name, that would go where they were not stored for, and in words where that was.

    `typed` names those that a person entered just now: they go wherever that person says.
    """
    kept = [name for name in SECRETS if wanted.get(name) and wanted[name] == former.get(name) and name not in typed]
    return {name: _in_words(former_uri) for name in kept if not _is_same(name, former_uri, former, uri, wanted)}


def _is_same(name: str, former_uri: str, former: Mapping[str, str], uri: str, wanted: Mapping[str, str]) -> bool:
    before, after = _parsed(former_uri), _parsed(uri)
    if before is None or after is None or _address(before) != _address(after):
        return False
    if name == "ssh_private_key" and not _has_same_host_keys(after, former, wanted):
        return False
    return all(former.get(each, "").split() == wanted.get(each, "").split() for each in _vouchers(name, after))


def _vouchers(name: str, uri: HypervisorUri) -> tuple[str, ...]:
    # Without TLS a certificate is of no use, and is not kept.
    return tuple(each for each in _VOUCHERS[name] if uri.transport == "tls" or not each.startswith("tls_"))


def _has_same_host_keys(uri: HypervisorUri, former: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether no host key is accepted that was not before; a first one only narrows what is accepted."""
    if not former.get("ssh_known_hosts", "").strip():
        return True
    before, after = (
        {
            key
            for key in usable_host_keys(values.get("ssh_known_hosts", ""), uri.host, uri.port or 0)
            if not key.is_revoked
        }
        for values in (former, wanted)
    )
    return bool(after) and after <= before


def _address(uri: HypervisorUri) -> tuple[object, ...]:
    return uri.transport, uri.host, uri.port, uri.username


def _parsed(uri: str) -> HypervisorUri | None:
    try:
        return parse_uri(uri, allow_test_driver=settings.ALLOW_TEST_DRIVER)
    except InvalidUri:
        return None


def _in_words(uri: str) -> str:
    parsed = _parsed(uri)
    if parsed is None or not parsed.host:
        return uri
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    return f"{parsed.username}{'@' if parsed.username else ''}{host}:{parsed.port} ({parsed.transport})"
