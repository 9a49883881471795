"""The pages: one module per noun, each with its own `urlpatterns`."""

from django.urls import URLPattern

from hypervisors.web import (
    accounts,
    consoles,
    domain_operations,
    domain_pages,
    domains,
    grants,
    home,
    hypervisor_editing,
    hypervisor_pools,
    hypervisors,
    operations,
    people,
    tree,
)

urlpatterns: list[URLPattern] = [
    *home.urlpatterns,
    *tree.urlpatterns,
    *domains.urlpatterns,
    *domain_operations.urlpatterns,
    *domain_pages.urlpatterns,
    *consoles.urlpatterns,
    *operations.urlpatterns,
    *hypervisor_editing.urlpatterns,
    *hypervisors.urlpatterns,
    *hypervisor_pools.urlpatterns,
    *grants.urlpatterns,
    *accounts.urlpatterns,
    *people.urlpatterns,
]
