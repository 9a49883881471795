import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hypervisors", "0002_mirror")]

    operations = [
        migrations.CreateModel(
            name="WatcherLease",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                ("holder", models.CharField(blank=True, max_length=200)),
                ("token", models.PositiveBigIntegerField(default=0)),
                ("acquired_at", models.DateTimeField(null=True)),
                ("renewed_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField()),
                (
                    "hypervisor_pool",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="watcher_lease",
                        to="hypervisors.hypervisorpool",
                    ),
                ),
            ],
            options={"ordering": ["name"]},
        ),
    ]
