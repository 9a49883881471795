from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hypervisors", "0013_volume_references")]

    operations = [
        migrations.AddField("storagepool", "persistent", models.BooleanField(default=True)),
        migrations.AddField("storagepool", "definition_xml", models.TextField(blank=True, default="")),
        migrations.AddField("storagepool", "proved_since", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("storagepool", "proved_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("storagepool", "unproved_reason", models.TextField(blank=True, default="")),
        migrations.AddField("storagepool", "is_another", models.BooleanField(default=False)),
        migrations.AddField("storagepool", "looked_at", models.DateTimeField(blank=True, null=True)),
    ]
