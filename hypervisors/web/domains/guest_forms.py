"""The forms of what a guest's agent is asked for."""

from django import forms
from django.utils.translation import gettext_lazy as _

from hypervisors.models import Domain, GuestFacts
from hypervisors.operations.domains.freeze_filesystems import MOST_SECONDS, USUAL_SECONDS
from hypervisors.web.domains.forms import OperationForm


class GuestPasswordForm(OperationForm):
    heading = _("Set a password in the guest")
    submit = _("Set the password")

    user = forms.CharField(label=_("User in the guest"), max_length=64, strip=True)
    password = forms.CharField(
        label=_("New password"),
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class GuestSshKeyForm(OperationForm):
    heading = _("Add an SSH key in the guest")
    submit = _("Add the key")

    user = forms.CharField(label=_("User in the guest"), max_length=64, strip=True)
    key = forms.CharField(
        label=_("Public key, one line"),
        max_length=10_000,
        strip=True,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )


class RemoveGuestSshKeyForm(GuestSshKeyForm):
    """Sent by a button beside the key."""


class ListGuestSshKeysForm(OperationForm):
    heading = _("SSH keys in the guest")
    submit = _("Show the keys")

    user = forms.CharField(label=_("User in the guest"), max_length=64, strip=True)

    def prepare(self) -> None:
        self.fields["user"].initial = likely_user(self.domain)


class FreezeForm(OperationForm):
    heading = _("Freeze the guest's file systems")
    submit = _("Freeze")

    seconds = forms.IntegerField(
        label=_("For at most so many seconds; programs that write wait until then"),
        min_value=1,
        max_value=MOST_SECONDS,
        initial=USUAL_SECONDS,
    )


def likely_user(domain: Domain) -> str:
    """Who is signed in to the guest; else who administers any."""
    row = GuestFacts.objects.filter(domain=domain).first()
    users = row.facts.get("users", ()) if row is not None else ()
    return next((user for user in users if user != "root"), "root")


GUEST_FORMS: dict[str, type[OperationForm]] = {
    "set_guest_password": GuestPasswordForm,
    "add_guest_ssh_key": GuestSshKeyForm,
    "list_guest_ssh_keys": ListGuestSshKeysForm,
    "freeze_filesystems": FreezeForm,
}
# What a button sends that is beside the thing.
BUTTON_FORMS: dict[str, type[OperationForm]] = {"remove_guest_ssh_key": RemoveGuestSshKeyForm}
