"""The URL map: accounts, the admin of people, the health check, and the app's pages."""

from django.contrib import admin
from django.urls import include, path

from vmportal.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("", include("hypervisors.web.urls")),
]
