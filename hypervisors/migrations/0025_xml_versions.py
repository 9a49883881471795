"""Versions of definitions; what is known now is the first of each."""

import hashlib
import zlib

import django.db.models.deletion
import django.utils.timezone
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_BATCH = 200
# Model, the column of its XML, and the column that names it.
_KNOWN = (
    ("DomainDefinition", "inactive_xml", "domain_id"),
    ("StoragePool", "definition_xml", "storage_pool_id"),
    ("Network", "definition_xml", "network_id"),
)


def _note_what_is_known(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    versions = apps.get_model("hypervisors", "XmlVersion").objects.using(schema_editor.connection.alias)
    for model, xml_column, column in _KNOWN:
        rows = apps.get_model("hypervisors", model).objects.using(schema_editor.connection.alias)
        known = rows.exclude(**{xml_column: ""}).order_by("pk").values_list("pk", xml_column)
        batch = []
        for key, xml in known.iterator(chunk_size=_BATCH):
            batch.append(_version(versions.model, column, key, xml))
            if len(batch) == _BATCH:
                versions.bulk_create(batch)
                batch = []
        versions.bulk_create(batch)


def _version(model: type[models.Model], column: str, key: int, xml: str) -> models.Model:
    values = {"sha256": hashlib.sha256(xml.encode()).hexdigest(), "xml_zlib": zlib.compress(xml.encode())}
    return model(**{column: key}, **values, is_first=True)


class Migration(migrations.Migration):
    dependencies = [("hypervisors", "0024_snapshots")]

    operations = [
        migrations.CreateModel(
            name="XmlVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sha256", models.CharField(max_length=64)),
                ("xml_zlib", models.BinaryField()),
                ("seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("operation_kind", models.CharField(blank=True, max_length=50)),
                ("changed_by", models.CharField(blank=True, max_length=150)),
                ("is_first", models.BooleanField(default=False)),
                *(
                    (
                        name,
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="xml_versions",
                            to=f"hypervisors.{name.replace('_', '')}",
                        ),
                    )
                    for name in ("domain", "storage_pool", "network")
                ),
                (
                    "operation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="hypervisors.operation",
                    ),
                ),
            ],
            options={"verbose_name": "version of a definition", "ordering": ["-pk"]},
        ),
        migrations.RunPython(_note_what_is_known, migrations.RunPython.noop, elidable=True),
    ]
