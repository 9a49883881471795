import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("hypervisors", "0033_guest_ssh_keys")]

    operations = [
        migrations.AddField(
            model_name="xmlversion",
            name="snapshot",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="xml_versions",
                to="hypervisors.domainsnapshot",
            ),
        ),
    ]
