"""The URL map: accounts, the health check, and the app's pages."""

from django.urls import include, path

from hypervisors.web.people.accounts import closed_urlpatterns
from vmportal.health import healthz

handler500 = "hypervisors.web.troubles.server_error"

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    *closed_urlpatterns,
    path("accounts/", include("allauth.urls")),
    path("", include("hypervisors.web.urls")),
]
