"""Versions of libvirt's definitions: every XML of a machine, snapshot, storage pool or network that was seen."""

import hashlib
import zlib
from typing import Self

from django.db import models
from django.db.models import F, Max, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.domains import Domain
from hypervisors.models.networks import Network
from hypervisors.models.operations import Operation
from hypervisors.models.snapshots import DomainSnapshot
from hypervisors.models.storage_pools import StoragePool

SUBJECTS = ("domain", "storage_pool", "network", "snapshot")

_MODELS: tuple[tuple[str, type[models.Model]], ...] = (
    ("domain", Domain),
    ("storage_pool", StoragePool),
    ("network", Network),
    ("snapshot", DomainSnapshot),
)


class XmlVersionQuerySet(models.QuerySet["XmlVersion"]):
    def of(self, subject: models.Model) -> Self:
        """Those of one subject, newest first."""
        return self.filter(**{subject_column(subject): subject.pk}).order_by("-pk")

    def newest_of(self, column: str, keys: "list[int]") -> Self:
        """The newest of each of these subjects."""
        newest = self.filter(**{f"{column}__in": keys}).order_by().values(column).annotate(newest=Max("pk"))
        return self.filter(pk__in=newest.values("newest"))

    def beyond(self, most: int, column: str) -> Self:
        """Those of subjects in this column that have `most` newer ones."""
        place = Window(RowNumber(), partition_by=F(column), order_by=F("pk").desc())
        return self.exclude(**{column: None}).annotate(place=place).filter(place__gt=most)


class XmlVersion(models.Model):
    """One definition as libvirt told it, without secrets. The inventory writes it when it sees another than the last.

    What was written and overwritten between two looks was never seen, and is not here.
    """

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, null=True, related_name="xml_versions")
    storage_pool = models.ForeignKey(StoragePool, on_delete=models.CASCADE, null=True, related_name="xml_versions")
    network = models.ForeignKey(Network, on_delete=models.CASCADE, null=True, related_name="xml_versions")
    snapshot = models.ForeignKey(DomainSnapshot, on_delete=models.CASCADE, null=True, related_name="xml_versions")
    # Of the XML's UTF-8 in hexadecimal; of a machine the same as DomainDefinition.inactive_sha256.
    sha256 = models.CharField(max_length=64)
    xml_zlib = models.BinaryField()
    seen_at = models.DateTimeField(default=timezone.now)
    # What was under way on it then, as far as that changes definitions; null: it was changed outside, or long ago.
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, related_name="+")
    # What and who that was, which outlive the operation's row; empty: outside of vmportal.
    operation_kind = models.CharField(max_length=50, blank=True)
    changed_by = models.CharField(max_length=150, blank=True)
    # Found when vmportal looked for the first time: nobody can say who wrote it.
    is_first = models.BooleanField(default=False)

    objects = XmlVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("version of a definition")

    def __str__(self) -> str:
        return f"{self.sha256[:12]} of {self.domain_id or self.storage_pool_id or self.network_id or self.snapshot_id}"

    @property
    def xml(self) -> str:
        return zlib.decompress(self.xml_zlib).decode()


def digest(xml: str) -> str:
    """What `sha256` holds."""
    return hashlib.sha256(xml.encode()).hexdigest()


def packed(xml: str) -> bytes:
    """XML as `xml_zlib` holds it: a sixth of it, mostly."""
    return zlib.compress(xml.encode())


def subject_column(subject: models.Model) -> str:
    """The column of the subject's key. Raises: TypeError for what has no XML of its own."""
    for name, model in _MODELS:
        if isinstance(subject, model):
            return f"{name}_id"
    raise TypeError(f"{subject!r} has no versions.")
