"""Operations: their history, and the task drawer."""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_GET


@require_GET
def operations(request: HttpRequest) -> HttpResponse:
    return HttpResponse("")


urlpatterns = [path("operations/", operations, name="operations"), path("tasks/", operations, name="tasks")]
