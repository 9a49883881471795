"""Operations on any subject, with steps, parents and locks of their own instead of one index per virtual machine."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

class Migration(migrations.Migration):

    dependencies = [("hypervisors", "0003_instances")]

    operations = [
        migrations.RemoveConstraint(model_name="operation", name="one_unfinished_operation_per_domain"),
        migrations.RenameField(model_name="operation", old_name="domain_name", new_name="subject_name"),
        migrations.AlterField(model_name="operation", name="kind", field=models.CharField(max_length=50)),
        migrations.AddField(
            model_name="operation",
            name="subject_type",
            field=models.CharField(default="domain", max_length=30),
        ),
        migrations.AddField(
            model_name="operation", name="subject_key", field=models.CharField(default="", max_length=100)
        ),
        migrations.AlterField(
            model_name="operation",
            name="domain",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="operations",
                to="hypervisors.domain",
            ),
        ),
        migrations.AddField(
            model_name="operation",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="children",
                to="hypervisors.operation",
            ),
        ),
        migrations.AddField(model_name="operation", name="steps", field=models.JSONField(blank=True, default=list)),
        migrations.AddField(model_name="operation", name="ending", field=models.JSONField(blank=True, null=True)),
        migrations.CreateModel(
            name="OperationLock",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=400, unique=True)),
                ("taken_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "operation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="locks",
                        to="hypervisors.operation",
                    ),
                ),
            ],
            options={"verbose_name": "operation lock"},
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["subject_type", "subject_key", "-requested_at"], name="operation_by_subject"),
        ),
    ]
