"""The list of virtual machines."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET


@require_GET
def domains(request: HttpRequest) -> HttpResponse:
    return render(request, "domains/list.html")


urlpatterns = [path("vms/", domains, name="domains"), path("vms/<uuid:uuid>/", domains, name="domain")]
