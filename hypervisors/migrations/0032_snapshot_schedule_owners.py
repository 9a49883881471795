from django.db import migrations, models


def name_owners(apps, schema_editor):
    schedules = apps.get_model("hypervisors", "SnapshotSchedule")
    for schedule in schedules.objects.exclude(created_by=None).select_related("created_by"):
        schedules.objects.filter(pk=schedule.pk).update(owner_name=schedule.created_by.username)


class Migration(migrations.Migration):

    dependencies = [("hypervisors", "0031_volume_encryption")]

    operations = [
        migrations.AddField(
            model_name="snapshotschedule",
            name="owner_name",
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AddField(
            model_name="snapshotschedule",
            name="without_right_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.RunPython(name_owners, migrations.RunPython.noop),
    ]
