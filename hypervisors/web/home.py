"""Where `/` leads: to the list of virtual machines, or to the only one that a person uses."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_safe

from hypervisors.web.frames import few_machines


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    machines = few_machines(request.user) or []
    if len(machines) != 1:
        return redirect("domains")
    return redirect("domain_screen" if machines[0].is_active else "domain", machines[0].uuid)


urlpatterns = [path("", home, name="home")]
