"""What guests say of themselves, by their agents."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hypervisors", "0026_snapshot_schedule_modes")]

    operations = [
        migrations.CreateModel(
            name="GuestFacts",
            fields=[
                (
                    "domain",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="guest",
                        serialize=False,
                        to="hypervisors.domain",
                    ),
                ),
                ("facts", models.JSONField(blank=True, default=dict)),
                ("answered_at", models.DateTimeField(blank=True, null=True)),
                ("problem", models.CharField(blank=True, max_length=300)),
                ("read_at", models.DateTimeField()),
            ],
            options={"verbose_name": "what a guest says of itself"},
        ),
    ]
