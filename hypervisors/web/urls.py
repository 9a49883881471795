"""The pages: one module per noun, each with its own `urlpatterns`."""

from django.urls import URLPattern

from hypervisors.web import domains, home, operations, tree

urlpatterns: list[URLPattern] = [
    *home.urlpatterns,
    *tree.urlpatterns,
    *domains.urlpatterns,
    *operations.urlpatterns,
]
