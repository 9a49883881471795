"""The subjects and locks of operations that were asked for before there were any."""

from django.db import migrations

UNFINISHED = ("queued", "running")


def fill_subjects_and_locks(apps, schema_editor):
    Operation = apps.get_model("hypervisors", "Operation")
    OperationLock = apps.get_model("hypervisors", "OperationLock")
    for operation in Operation.objects.select_related("domain").iterator(chunk_size=500):
        operation.subject_key = str(operation.domain.uuid)
        operation.save(update_fields=["subject_key"])
        if operation.state in UNFINISHED:
            OperationLock.objects.create(key=f"domain:{operation.domain.uuid}", operation=operation)


def keep_operations_on_domains_only(apps, schema_editor):
    """The former shape holds neither requests on other subjects nor parents."""
    Operation = apps.get_model("hypervisors", "Operation")
    # Children go with their parents, so those on virtual machines are let go of first.
    Operation.objects.exclude(domain=None).update(parent=None)
    Operation.objects.filter(domain=None).delete()


class Migration(migrations.Migration):

    dependencies = [("hypervisors", "0004_operation_engine")]

    operations = [migrations.RunPython(fill_subjects_and_locks, keep_operations_on_domains_only)]
