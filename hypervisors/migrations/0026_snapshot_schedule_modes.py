from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("hypervisors", "0025_xml_versions")]

    operations = [
        migrations.RenameField(model_name="snapshotschedule", old_name="kind", new_name="mode"),
        migrations.RemoveField(model_name="snapshotschedule", name="has_memory"),
        migrations.AddField(
            model_name="snapshotschedule", name="tidies", field=models.BooleanField(default=False)
        ),
    ]
