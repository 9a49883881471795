"""What the pages of networks and of storage pools differ in: their model, their form, their rights and their words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import Promise

from hypervisors.access import permitted
from hypervisors.libvirtxml.definitions import DefinitionXml
from hypervisors.models import Hypervisor, Network, StoragePool
from hypervisors.privileges import Privilege
from hypervisors.web.definitions.forms import DefinitionForm
from hypervisors.web.definitions.places import Places

Text = str | Promise


@dataclass(frozen=True, kw_only=True)
class Noun:
    """Its views are called `<name>_create`, `<name>_edit` …, its kinds of operations `create_<name>` …"""

    name: str
    # Where its pages are: "networks/".
    prefix: str
    model: type[Network | StoragePool]
    related: tuple[str, ...] = ("hypervisor__hypervisor_pool",)
    xml: DefinitionXml[Any]
    form: type[DefinitionForm[Any]]
    # What the form begins with, and what it is shown with besides.
    initial_of_new: Callable[[HttpRequest, Places], Mapping[str, Any]]
    extra_context: Callable[[list[Hypervisor]], Mapping[str, Any]] = lambda _hosts: {}
    # Why the host cannot have what the form says, from rows; "" when it can.
    why_not_there: Callable[..., str]
    view: Privilege
    manage: Privilege
    list_view: str
    host_view: str
    icon: str
    # The rest of its templates' names: the fields of the form, and the middle of the dialog that deletes one.
    fields_template: str
    delete_template: str
    list_word: Text
    new_word: Text
    no_place: Text
    xml_label: Text
    xml_hint: Text
    # Of one that runs: when a change of it applies.
    started_note: Text
    # With `name` and `count`, with `name` and `host`.
    being_created: Text
    being_deleted: Text

    def kind(self, verb: str) -> str:
        return f"{verb}_{self.name}"

    def row_of(self, request: HttpRequest, pk: int) -> Any:
        """One that the person may see. Raises: Http404."""
        rows = permitted(request.user, self.view, self.model._default_manager.all())
        related = rows.select_related(*self.related).defer("hypervisor__cpu_xml", "hypervisor__machine_types")
        return get_object_or_404(related, pk=pk)

    def url(self, page: str, row: Network | StoragePool) -> str:
        return reverse(f"{self.name}_{page}", args=[row.pk])

    @property
    def list_url(self) -> str:
        return reverse(self.list_view)

    @property
    def create_url(self) -> str:
        return reverse(f"{self.name}_create")

    def list_of(self, hosts: list[Hypervisor]) -> str:
        """The list of the one host, else of all."""
        return reverse(self.host_view, args=[hosts[0].pk]) if len(hosts) == 1 else self.list_url
