"""Which addresses a network's DHCP server gave."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hypervisors", "0021_installation_kernels")]

    operations = [
        migrations.AddField(model_name="network", name="leases", field=models.JSONField(blank=True, default=dict)),
    ]
