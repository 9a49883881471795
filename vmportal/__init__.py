"""The Django project: it wires, and decides nothing."""

from vmportal.celery import app as celery_app

__all__ = ["celery_app"]
