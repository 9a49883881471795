"""What hypervisors list of themselves: network filters, devices, secrets."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hypervisors", "0027_guest_facts"),
    ]

    operations = [
        migrations.AddField(
            model_name="network", name="connection_count", field=models.PositiveIntegerField(default=0)
        ),
        migrations.CreateModel(
            name="HostSecret",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField()),
                ("usage_type", models.CharField(blank=True, max_length=20)),
                ("usage", models.CharField(blank=True, max_length=255)),
                ("description", models.CharField(blank=True, max_length=255)),
                ("is_ephemeral", models.BooleanField(default=False)),
                (
                    "hypervisor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="secrets", to="hypervisors.hypervisor"
                    ),
                ),
            ],
            options={
                "ordering": ["usage_type", "usage"],
                "constraints": [
                    models.UniqueConstraint(fields=("hypervisor", "uuid"), name="one_secret_per_hypervisor")
                ],
            },
        ),
        migrations.CreateModel(
            name="NetworkFilter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField()),
                ("name", models.CharField(max_length=255)),
                ("xml", models.TextField(blank=True)),
                (
                    "hypervisor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="network_filters",
                        to="hypervisors.hypervisor",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("hypervisor", "uuid"), name="one_filter_per_hypervisor")
                ],
            },
        ),
        migrations.CreateModel(
            name="NodeDevice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255)),
                ("capability", models.CharField(max_length=30)),
                ("parent", models.CharField(blank=True, max_length=255)),
                ("vendor", models.CharField(blank=True, max_length=255)),
                ("product", models.CharField(blank=True, max_length=255)),
                ("driver", models.CharField(blank=True, max_length=100)),
                ("iommu_group", models.IntegerField(blank=True, null=True)),
                ("host_device", models.CharField(blank=True, max_length=100)),
                ("host_device_model", models.CharField(blank=True, max_length=100)),
                ("interface", models.CharField(blank=True, max_length=50)),
                ("mac", models.CharField(blank=True, max_length=60)),
                ("details", models.JSONField(blank=True, default=dict)),
                (
                    "hypervisor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="node_devices",
                        to="hypervisors.hypervisor",
                    ),
                ),
            ],
            options={
                "ordering": ["capability", "name"],
                "constraints": [
                    models.UniqueConstraint(fields=("hypervisor", "name"), name="one_device_per_hypervisor")
                ],
            },
        ),
    ]
