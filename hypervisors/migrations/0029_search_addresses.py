"""Addresses as rows, so that a search finds them. The watcher fills them once it has started."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("hypervisors", "0028_host_listings"),
    ]

    operations = [
        migrations.CreateModel(
            name="DomainAddress",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("source", models.CharField(max_length=5)),
                ("key", models.CharField(max_length=33)),
                ("domain", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="known_addresses", to="hypervisors.domain")),
            ],
            options={
                "verbose_name": "address of a virtual machine",
                "indexes": [models.Index(fields=["key", "domain"], name="domain_address_by_key")],
                "constraints": [models.UniqueConstraint(fields=("domain", "source", "key"), name="address_once_per_source")],
            },
        ),
        migrations.CreateModel(
            name="LeasedAddress",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("mac_key", models.CharField(max_length=13)),
                ("key", models.CharField(max_length=33)),
                ("network", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="leased_addresses", to="hypervisors.network")),
            ],
            options={
                "verbose_name": "leased address",
                "indexes": [models.Index(fields=["key", "mac_key"], name="leased_address_by_key")],
                "constraints": [models.UniqueConstraint(fields=("network", "mac_key", "key"), name="lease_once_per_network")],
            },
        ),
    ]
