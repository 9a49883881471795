"""Who uses a libvirt secret, and what cannot be read any more without its value: from rows."""

from collections.abc import Iterable, Iterator

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.domain_references import text_in_xml
from hypervisors.libvirtxml.secret_uses import EncryptedPart, encrypted_parts
from hypervisors.models import DomainDefinition, DomainSnapshot, HostSecret, StoragePool, Volume, VolumeOrigin

_MOST_NAMED = 5


def secret_users(secret: HostSecret) -> list[str]:
    """Names of storage pools, virtual machines and volumes of its host that name it, by UUID or by what it is for.

    Whatever the attribute is called: the key of a TPM is named by `secret`, and without it all is lost that the guest
    has encrypted. Snapshots count: a machine that goes back to one needs it again.
    """
    return list(dict.fromkeys([*needing_users(secret), *(_volume_name(one) for one in _volumes(secret))]))


def needing_users(secret: HostSecret) -> list[str]:
    """The storage pools and virtual machines among them: these stop working without it."""
    in_pool = _holding(secret, "definition_xml")
    pools = StoragePool.objects.present().filter(in_pool, hypervisor=secret.hypervisor_id)
    names = [*pools.values_list("name", flat=True), *_definitions(secret).values_list("domain__name", flat=True)]
    return list(dict.fromkeys([*names, *_snapshots(secret).values_list("domain__name", flat=True)]))


def encrypted_things(secret: HostSecret) -> list[str]:
    """What was encrypted with it, for people: none of it can be read any more with another value, or without one."""
    found = [_("the volume “%s”") % _volume_name(one) for one in _volumes(secret)]
    for name, live, inactive in _definitions(secret).values_list("domain__name", "live_xml", "inactive_xml"):
        found += [_part_text(part, name) for part in _parts((live, inactive), secret)]
    for name, xml in _snapshots(secret).values_list("domain__name", "xml"):
        if any(_parts((xml,), secret)):
            found.append(_("snapshots of “%s”") % name)
    return list(dict.fromkeys(found))


def why_secret_used(users: list[str]) -> str:
    return _("It is used by %(names)s.") % {"names": _named([_("“%s”") % name for name in users])} if users else ""


def unreadable_text(things: list[str]) -> str:
    """ "" when there is nothing."""
    return _("This cannot be read any more: %(things)s.") % {"things": _named(things)} if things else ""


def check_confirmed(secret: HostSecret, confirmed_name: str) -> None:
    """Raises: errors.NotPossible while something is encrypted with it, and its name was not typed."""
    things = encrypted_things(secret)
    if things and confirmed_name != secret.name:
        raise NotPossible(
            _("%(what)s Type “%(name)s” to confirm.") % {"what": unreadable_text(things), "name": secret.name}
        )


def _named(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")


def _holding(secret: HostSecret, *columns: str) -> Q:
    words = [str(secret.uuid)]
    if secret.usage:
        usage = text_in_xml(secret.usage)
        words += [f"usage='{usage}'", f'usage="{usage}"']
    found = Q()
    for column in columns:
        for word in words:
            found |= Q(**{f"{column}__icontains": word})
    return found


def _definitions(secret: HostSecret) -> QuerySet[DomainDefinition]:
    return DomainDefinition.objects.filter(_holding(secret, "live_xml", "inactive_xml"), **_here(secret))


def _snapshots(secret: HostSecret) -> QuerySet[DomainSnapshot]:
    return DomainSnapshot.objects.filter(_holding(secret, "xml"), **_here(secret))


def _here(secret: HostSecret) -> dict[str, int | None]:
    return {"domain__vanished_at": None, "domain__hypervisor": secret.hypervisor_id}


def _volumes(secret: HostSecret) -> list[Volume]:
    """The volumes of its host that were encrypted with it.

    libvirt names a volume's secret only until it reads the storage pool again, and then looks for one by its path.
    """
    named = Q(encryption_secret__iexact=str(secret.uuid))
    if secret.usage_type == "volume" and secret.usage:
        named |= Q(path=secret.usage) & ~Q(encryption="")
    for origin in VolumeOrigin.objects.filter(encryption_secret=str(secret.uuid)).select_related("storage_pool"):
        same = StoragePool.objects.present().same_storage_as(origin.storage_pool)
        named |= Q(name=origin.name, storage_pool__in=same)
    rows = Volume.objects.present().filter(named, storage_pool__hypervisor=secret.hypervisor_id)
    return list(rows.select_related("storage_pool").order_by("storage_pool__name", "name"))


def _volume_name(volume: Volume) -> str:
    return f"{volume.storage_pool.name}/{volume.name}"


def _parts(texts: Iterable[str], secret: HostSecret) -> Iterator[EncryptedPart]:
    for xml in filter(None, texts):
        try:
            parts = encrypted_parts(xml)
        except ValueError:
            continue
        for part in parts:
            is_by_usage = bool(part.secret_usage) and part.secret_usage == secret.usage
            if part.secret_uuid == str(secret.uuid) or is_by_usage:
                yield part


def _part_text(part: EncryptedPart, domain_name: str) -> str:
    if part.kind == "tpm":
        return _("the TPM of “%s”, and what its guest has encrypted with that") % domain_name
    return _("the disk %(disk)s of “%(name)s”") % {"disk": part.target, "name": domain_name}
