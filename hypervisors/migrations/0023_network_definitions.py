"""What networks are defined by, and what of it waits for their next start."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hypervisors", "0022_network_leases")]

    operations = [
        migrations.AddField(model_name="network", name="persistent", field=models.BooleanField(default=True)),
        migrations.AddField(
            model_name="network", name="kind", field=models.CharField(blank=True, default="", max_length=20)
        ),
        migrations.AddField(
            model_name="network", name="definition_xml", field=models.TextField(blank=True, default="")
        ),
        migrations.AddField(model_name="network", name="live_xml", field=models.TextField(blank=True, default="")),
        migrations.AddField(model_name="network", name="pending", field=models.JSONField(blank=True, default=list)),
    ]
