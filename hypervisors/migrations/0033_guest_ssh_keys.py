"""Which SSH keys let somebody into accounts of guests, as their agents said."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("hypervisors", "0032_snapshot_schedule_owners"),
    ]

    operations = [
        migrations.CreateModel(
            name="GuestSshKeys",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("user", models.CharField(max_length=64)),
                ("keys", models.JSONField(blank=True, default=list)),
                ("read_at", models.DateTimeField()),
                ("domain", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="guest_ssh_keys", to="hypervisors.domain")),
            ],
            options={
                "verbose_name": "SSH keys in a guest",
                "ordering": ["user"],
                "constraints": [models.UniqueConstraint(fields=("domain", "user"), name="keys_once_per_guest_account")],
            },
        ),
    ]
