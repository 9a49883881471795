from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("hypervisors", "0029_search_addresses")]

    operations = [
        migrations.AddField(
            model_name="snapshotnote",
            name="merge_began_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
