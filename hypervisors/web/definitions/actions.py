"""What can be done to a network or a storage pool, as buttons and menus: whether it is possible, and if not why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Network, StoragePool
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import possible_kinds, request_operation, why_not
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.definitions.nouns import Noun
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import needs, person


@dataclass(frozen=True, kw_only=True)
class Action:
    """A button or an entry. With `has_form` it opens a page or a dialog; with a `question` it asks first."""

    kind: str
    word: str
    icon: str
    url: str
    reason: str = ""
    question: str = ""
    warning: str = ""
    has_form: bool = False
    is_page: bool = False
    is_dangerous: bool = False
    values: dict[str, str] = field(default_factory=dict)


class Actions:
    """Those of one, made one by one in the order of the menu."""

    def __init__(self, noun: Noun, row: Network | StoragePool) -> None:
        self._noun, self._row = noun, row
        self._reasons = possible_kinds(row)
        self.made: list[Action] = []

    def add(self, kind: str, page: str, **other: Any) -> None:
        """`page` is its view, less the noun; `other` are fields of Action that differ from the kind's."""
        found = operation_type(kind)
        values: dict[str, Any] = {
            "word": found.word(self._row),
            "icon": found.icon,
            "question": str(found.question),
            "reason": self._reasons[kind],
        }
        self.made.append(Action(kind=kind, url=self._noun.url(page, self._row), **(values | other)))

    def add_autostart(self) -> None:
        kind = self._noun.kind("set") + "_autostart"
        self.add(kind, "autostart", values=operation_type(kind).click_values(self._row))

    def add_edit_and_delete(self) -> None:
        self.add(self._noun.kind("edit"), "edit", word=_("Edit…"), has_form=True, is_page=True)
        deleting = {"word": _("Delete…"), "has_form": True, "is_dangerous": True, "question": ""}
        self.add(self._noun.kind("delete"), "delete", **deleting)


def action_routes(noun: Noun, routes: Mapping[str, tuple[str, Any]]) -> list[URLPattern]:
    """A view for each: the end of its path, the kind it asks for, and what is said then, with `name` and `host`."""
    return [
        path(f"{noun.prefix}<row:pk>/{word}/", _asking_for(noun, kind, text), name=f"{noun.name}_{word}")
        for word, (kind, text) in routes.items()
    ]


def _asking_for(noun: Noun, kind: str, text: Any) -> Callable[..., HttpResponse]:
    """A view that asks for the kind, with whatever its form says."""

    @require_POST
    @needs(noun.view)
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        row = noun.row_of(request, pk)
        given = {name: request.POST[name] for name in request.POST if name != "csrfmiddlewaretoken"}
        try:
            operation = request_operation(user=person(request), kind=kind, subject=row, parameters=given)
        except (Conflict, NotPossible) as error:
            return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
        said = text % {"name": row.name, "host": row.hypervisor.name}
        return done(request, said, back=row.get_absolute_url(), operation=operation)

    return view


def deletion_route(
    noun: Noun, context_of: Callable[[Any], Mapping[str, Any]], given_of: Callable[[HttpRequest, Any], dict[str, Any]]
) -> URLPattern:
    """The dialog that names what would be lost; POST asks for the deletion.

    `context_of` is what the noun's part of it shows, `given_of` what its form says; it may raise errors.NotPossible.
    """

    @require_http_methods(["GET", "HEAD", "POST"])
    @needs(noun.view)
    def delete(request: HttpRequest, pk: int) -> HttpResponse:
        row, kind, problem = noun.row_of(request, pk), noun.kind("delete"), ""
        require(person(request), noun.manage, row, what=kind)
        if request.method == "POST":
            try:
                request_operation(user=person(request), kind=kind, subject=row, parameters=given_of(request, row))
            except (Conflict, NotPossible) as error:
                problem = str(error)
            else:
                text = noun.being_deleted % {"name": row.name, "host": row.hypervisor.name}
                return done(request, text, back=noun.list_of([row.hypervisor]))
        context = {"noun": noun, "row": row, "problem": problem, "reason": why_not(row, kind), **context_of(row)}
        context["delete_url"], context["posted"] = noun.url("delete", row), request.POST
        template = "definitions/delete.html"
        return render(request, f"{template}#dialog" if wants_part(request) else template, context)

    return path(f"{noun.prefix}<row:pk>/delete/", delete, name=f"{noun.name}_delete")
