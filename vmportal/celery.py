"""The Celery application: broker and routes come from Django's settings."""

import os

from celery import Celery

from hypervisors.operations.engine.worker_heartbeats import SignsOfLife

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vmportal.settings")
# They load the code of every page into each worker; the tests run them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("vmportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["hypervisors.operations.engine"])
app.autodiscover_tasks(["hypervisors.operations.hypervisors"], related_name="connection_tests")
app.autodiscover_tasks(["hypervisors.operations.domains"], related_name="screen_picture_tasks")
app.autodiscover_tasks(["hypervisors.operations.storage"], related_name="volume_xml_tasks")
app.steps["consumer"].add(SignsOfLife)
