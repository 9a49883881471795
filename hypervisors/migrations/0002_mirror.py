"""Tombstones for storage pools and networks, volumes, shared storage, credentials apart, intent apart from sight,
and both parses of each definition. Ciphertext is copied as it is: no key is needed.
"""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import F

import hypervisors.models.encryption
import hypervisors.states

_CREDENTIALS = (
    "sasl_username, sasl_password, ssh_private_key, ssh_known_hosts, tls_ca_certificate, tls_client_certificate, "
    "tls_client_key"
)
_COPY_CREDENTIALS = (
    f"INSERT INTO hypervisors_hypervisorcredentials (hypervisor_id, {_CREDENTIALS}) "
    f"SELECT id, {_CREDENTIALS} FROM hypervisors_hypervisor"
)
_COPY_CREDENTIALS_BACK = [
    f"UPDATE hypervisors_hypervisor SET {column} = (SELECT {column} FROM hypervisors_hypervisorcredentials c "
    f"WHERE c.hypervisor_id = hypervisors_hypervisor.id) WHERE EXISTS (SELECT 1 FROM "
    f"hypervisors_hypervisorcredentials c WHERE c.hypervisor_id = hypervisors_hypervisor.id)"
    for column in _CREDENTIALS.split(", ")
]


def tell_intent_from_status(apps, schema_editor):
    disabled = apps.get_model("hypervisors", "Hypervisor").objects.filter(status="disabled")
    disabled.update(
        admin_state="disabled",
        admin_state_since=F("status_since"),
        status="offline",
        status_reason="",
    )


def put_intent_into_status(apps, schema_editor):
    disabled = apps.get_model("hypervisors", "Hypervisor").objects.filter(admin_state="disabled")
    disabled.update(status="disabled", status_since=F("admin_state_since"), status_reason="Disabled.")


def put_parses_together(apps, schema_editor):
    """The former column holds the live parse, else the inactive one."""
    definitions = apps.get_model("hypervisors", "DomainDefinition").objects
    changed = []
    for row in definitions.filter(live_xml="").only("live_parsed", "inactive_parsed").iterator(chunk_size=500):
        row.live_parsed = row.live_parsed or row.inactive_parsed
        changed.append(row)
        if len(changed) == 500:
            definitions.bulk_update(changed, ["live_parsed"])
            changed = []
    definitions.bulk_update(changed, ["live_parsed"])


class Migration(migrations.Migration):
    dependencies = [
        ("hypervisors", "0001_initial"),
    ]

    operations = [
        # Credentials.
        migrations.CreateModel(
            name="HypervisorCredentials",
            fields=[
                (
                    "hypervisor",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="credentials",
                        serialize=False,
                        to="hypervisors.hypervisor",
                    ),
                ),
                ("sasl_username", models.CharField(blank=True, max_length=200, verbose_name="user name")),
                (
                    "sasl_password",
                    hypervisors.models.encryption.EncryptedTextField(blank=True, default="", verbose_name="password"),
                ),
                (
                    "ssh_private_key",
                    hypervisors.models.encryption.EncryptedTextField(
                        blank=True, default="", verbose_name="ssh private key"
                    ),
                ),
                ("ssh_known_hosts", models.TextField(blank=True, verbose_name="ssh host key")),
                ("tls_ca_certificate", models.TextField(blank=True, verbose_name="CA certificate")),
                ("tls_client_certificate", models.TextField(blank=True, verbose_name="client certificate")),
                (
                    "tls_client_key",
                    hypervisors.models.encryption.EncryptedTextField(
                        blank=True, default="", verbose_name="client key"
                    ),
                ),
            ],
            options={
                "verbose_name": "hypervisor credentials",
                "verbose_name_plural": "hypervisor credentials",
            },
        ),
        migrations.RunSQL(_COPY_CREDENTIALS, _COPY_CREDENTIALS_BACK),
        # A default for the way back: the columns are added to rows that exist.
        *[
            migrations.AlterField("hypervisor", column, models.TextField(blank=True, default=""))
            for column in ("ssh_known_hosts", "tls_ca_certificate", "tls_client_certificate")
        ],
        migrations.AlterField("hypervisor", "sasl_username", models.CharField(blank=True, default="", max_length=200)),
        *[migrations.RemoveField("hypervisor", column) for column in _CREDENTIALS.split(", ")],
        # Intent apart from sight.
        migrations.AddField(
            "hypervisor",
            "admin_state",
            models.CharField(
                choices=[("enabled", "enabled"), ("maintenance", "maintenance"), ("disabled", "disabled")],
                default=hypervisors.states.AdminState["ENABLED"],
                max_length=20,
            ),
        ),
        migrations.AddField(
            "hypervisor", "admin_state_since", models.DateTimeField(default=django.utils.timezone.now)
        ),
        migrations.AddField("hypervisor", "admin_state_by", models.CharField(blank=True, default="", max_length=150)),
        migrations.AddField(
            "hypervisor", "admin_state_reason", models.CharField(blank=True, default="", max_length=500)
        ),
        migrations.RunPython(tell_intent_from_status, put_intent_into_status),
        *[
            migrations.AlterField("hypervisor", column, models.CharField(blank=True, max_length=length))
            for column, length in (("admin_state_by", 150), ("admin_state_reason", 500))
        ],
        migrations.AlterField(
            "hypervisor",
            "status",
            models.CharField(
                choices=[
                    ("connecting", "connecting"),
                    ("online", "online"),
                    ("stale", "stale"),
                    ("offline", "offline"),
                ],
                default=hypervisors.states.HypervisorStatus["CONNECTING"],
                max_length=20,
            ),
        ),
        # Both parses of each definition; version 0 has the watcher parse all of them anew.
        migrations.RenameField("domaindefinition", "parsed", "live_parsed"),
        migrations.AlterField("domaindefinition", "live_parsed", models.JSONField(blank=True, default=dict)),
        migrations.AddField("domaindefinition", "inactive_parsed", models.JSONField(blank=True, default=dict)),
        migrations.RunPython(migrations.RunPython.noop, put_parses_together),
        *[
            migrations.AddField(
                "domaindefinition", name, models.CharField(blank=True, default="", max_length=64)
            )
            for name in ("live_sha256", "inactive_sha256")
        ],
        *[
            migrations.AlterField("domaindefinition", name, models.CharField(blank=True, max_length=64))
            for name in ("live_sha256", "inactive_sha256")
        ],
        migrations.AddField(
            "domaindefinition", "parser_version", models.PositiveIntegerField(db_index=True, default=0)
        ),
        # Networks and storage pools that outlive what they mirror.
        *[
            migrations.AddField(model, "first_seen_at", models.DateTimeField(default=django.utils.timezone.now))
            for model in ("network", "storagepool")
        ],
        *[
            migrations.AddField(model, "vanished_at", models.DateTimeField(blank=True, null=True))
            for model in ("network", "storagepool")
        ],
        migrations.CreateModel(
            name="SharedStorage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255)),
                ("pool_type", models.CharField(max_length=20)),
                ("identity", models.CharField(max_length=1500)),
                ("first_seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("proved_at", models.DateTimeField(blank=True, null=True)),
                (
                    "hypervisor_pool",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shared_storages",
                        to="hypervisors.hypervisorpool",
                    ),
                ),
            ],
            options={
                "verbose_name": "shared storage",
                "verbose_name_plural": "shared storages",
                "ordering": ["name"],
            },
        ),
        migrations.AddConstraint(
            "sharedstorage",
            models.UniqueConstraint(
                fields=("hypervisor_pool", "pool_type", "identity"), name="one_shared_storage_per_identity"
            ),
        ),
        migrations.AddField(
            "storagepool",
            "shared_storage",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="storage_pools",
                to="hypervisors.sharedstorage",
            ),
        ),
        migrations.AddField("storagepool", "source", models.CharField(blank=True, default="", max_length=1000)),
        migrations.AddField("storagepool", "trouble", models.TextField(blank=True, default="")),
        migrations.AlterField("storagepool", "source", models.CharField(blank=True, max_length=1000)),
        migrations.AlterField("storagepool", "trouble", models.TextField(blank=True)),
        migrations.AddField("storagepool", "trouble_since", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("storagepool", "volumes_read_at", models.DateTimeField(blank=True, null=True)),
        migrations.CreateModel(
            name="Volume",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=1000)),
                ("key", models.TextField(blank=True)),
                ("path", models.TextField(blank=True)),
                ("volume_type", models.CharField(blank=True, max_length=20)),
                ("format", models.CharField(blank=True, max_length=40)),
                ("capacity_bytes", models.BigIntegerField(default=0)),
                ("allocation_bytes", models.BigIntegerField(default=0)),
                ("backing_path", models.TextField(blank=True)),
                ("backing_format", models.CharField(blank=True, max_length=40)),
                ("first_seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("vanished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "storage_pool",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="volumes",
                        to="hypervisors.storagepool",
                    ),
                ),
            ],
            options={
                "verbose_name": "volume",
                "ordering": ["name"],
            },
        ),
        migrations.AddConstraint(
            "volume",
            models.UniqueConstraint(fields=("storage_pool", "name"), name="one_volume_name_per_storage_pool"),
        ),
    ]
