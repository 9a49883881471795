"""The inventory on the left: pools, their hypervisors, and one hypervisor's machines when it is opened."""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_GET


@require_GET
def tree(request: HttpRequest) -> HttpResponse:
    return HttpResponse("")


urlpatterns = [path("tree/", tree, name="tree")]
