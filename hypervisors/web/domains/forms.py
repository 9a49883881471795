"""The forms of operations that need more than a click."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.models import Domain
from hypervisors.operations.domains.describe import MAX_DESCRIPTION_LENGTH, MAX_TITLE_LENGTH
from hypervisors.operations.domains.names import checked_name

_CLASSES: dict[type[forms.Widget], str] = {forms.CheckboxInput: "form-check-input", forms.Select: "form-select"}


class OperationForm(forms.Form):
    """Its cleaned data are the operation's parameters. `heading` and `submit`: the words of its dialog."""

    heading: Any = ""
    submit: Any = ""

    def __init__(self, *args: Any, domain: Domain, **kwargs: Any) -> None:
        self.domain = domain
        super().__init__(*args, **kwargs)
        self.prepare()
        for name, field in self.fields.items():
            field.widget.attrs["class"] = _CLASSES.get(type(field.widget), "form-control")
            if self.is_bound and name in self.errors:
                field.widget.attrs["class"] += " is-invalid"

    def prepare(self) -> None:
        """Where a field's choices depend on the domain, they are set here: before anything is checked."""


class RenameForm(OperationForm):
    """A name that libvirt and QEMU take."""

    name = forms.CharField(label=gettext_lazy("New name"), max_length=255, strip=True)

    def clean_name(self) -> str:
        try:
            return checked_name(self.cleaned_data["name"], self.domain)
        except NotPossible as error:
            raise ValidationError(str(error)) from error


class DescribeForm(OperationForm):
    """The title is one line; the description may have many. What else is wrong with them is said by the operation."""

    title = forms.CharField(label=gettext_lazy("Title"), max_length=MAX_TITLE_LENGTH, required=False, strip=True)
    description = forms.CharField(
        label=gettext_lazy("Description"),
        max_length=MAX_DESCRIPTION_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
    )


class AutostartForm(OperationForm):
    """Whether the host starts it at boot."""

    enabled = forms.BooleanField(required=False)


class RevertForm(OperationForm):
    """Of which stored definition the changes were shown that are thrown away: its digest."""

    base_sha256 = forms.CharField(max_length=64, required=False)


FORMS: dict[str, type[OperationForm]] = {
    "rename": RenameForm,
    "describe": DescribeForm,
    "set_autostart": AutostartForm,
    "revert_pending": RevertForm,
}


def _form_url(kind: str) -> Callable[[Domain], str]:
    return lambda domain: reverse("domain_form", args=[domain.uuid, kind])


# Kinds that open a dialog instead of being asked for at once, and where it comes from.
DIALOGS: dict[str, Callable[[Domain], str]] = {
    "rename": _form_url("rename"),
    "describe": _form_url("describe"),
    "migrate": lambda domain: reverse("migrate_domain", args=[domain.uuid]),
    "clone_domain": lambda domain: reverse("clone_domain", args=[domain.uuid]),
    "make_template": lambda domain: reverse("make_template", args=[domain.uuid]),
    "delete_domain": lambda domain: reverse("delete_domain", args=[domain.uuid]),
    "create_snapshot": lambda domain: reverse("take_snapshot", args=[domain.uuid]),
    "export_domain": lambda domain: reverse("export_domain", args=[domain.uuid]),
    **{kind: _form_url(kind) for kind in ("set_guest_password", "add_guest_ssh_key", "list_guest_ssh_keys")},
    "freeze_filesystems": _form_url("freeze_filesystems"),
    "move_disk": lambda domain: reverse("domain_move_disk", args=[domain.uuid]),
    "commit_disk": lambda domain: reverse("domain_disk_images", args=[domain.uuid]),
}


def initial_values(domain: Domain, kind: str) -> dict[str, Any]:
    """What the form shows at first: how it is now."""
    if kind == "rename":
        return {"name": domain.name}
    if kind != "describe":
        return {}
    return {"title": domain.title, "description": domain.description}
