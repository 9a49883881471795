"""Where `/` leads: the list of virtual machines."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_safe


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return redirect("domains")


urlpatterns = [path("", home, name="home")]
