"""The dialog that has a file fetched from a URL into a volume."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as now_
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import permitted, require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.fetching import file_name_of
from hypervisors.models import StoragePool
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.permissions import needs, person


class FetchForm(forms.Form):
    """`parameters` are the operation's, once the form is valid."""

    url = forms.CharField(label=_("URL"), max_length=2000, widget=forms.URLInput)
    name = forms.CharField(
        label=_("Name of the volume"), max_length=255, required=False, help_text=_("Empty: as the file is called.")
    )
    sha256 = forms.CharField(
        label=_("SHA-256"),
        max_length=400,
        required=False,
        help_text=_("As published beside the file; compared at the end."),
    )

    def __init__(self, *args: Any, storage_pool: StoragePool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.storage_pool = storage_pool
        self.parameters: dict[str, Any] = {}
        for name, field in self.fields.items():
            field.widget.attrs |= {"class": "form-control", "autocomplete": "off", "spellcheck": "false"}
            if self.is_bound and name in self.errors:
                field.widget.attrs["class"] += " is-invalid"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        given = dict(data) | {"name": data["name"] or file_name_of(data["url"])}
        try:
            operation_type("fetch_url").check(self.storage_pool, given)
        except NotPossible as error:
            raise ValidationError(str(error)) from error
        self.parameters = given
        return data


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_VIEW)
def volume_fetch(request: HttpRequest, pk: int) -> HttpResponse:
    """POST asks for it, and comes back with what is wrong."""
    rows = permitted(request.user, Privilege.STORAGE_VIEW, StoragePool.objects.all())
    storage_pool = get_object_or_404(rows.select_related("hypervisor"), pk=pk)
    require(person(request), Privilege.STORAGE_MANAGE, storage_pool, what="fetch_url")
    form = FetchForm(request.POST or None, storage_pool=storage_pool)
    if request.method == "POST" and form.is_valid():
        try:
            request_operation(user=person(request), kind="fetch_url", subject=storage_pool, parameters=form.parameters)
        except (Conflict, NotPossible) as error:
            form.add_error(None, str(error))
        else:
            text = now_("“%(name)s” is being fetched.") % {"name": form.parameters["name"]}
            return done(request, text, back=storage_pool.get_absolute_url())
    context = {"storage_pool": storage_pool, "form": form, "reason": why_not(storage_pool, "fetch_url")}
    template = "storage/fetch.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


urlpatterns = [path("storage/<row:pk>/fetch/", volume_fetch, name="volume_fetch")]
