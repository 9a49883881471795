from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hypervisors", "0007_copies_and_troubles")]

    operations = [
        migrations.AddField(
            model_name="hypervisor",
            name="console_addresses",
            field=models.CharField(blank=True, default="", max_length=500, verbose_name="console addresses"),
            preserve_default=False,
        ),
    ]
