"""The form of one hypervisor: address by transport or as a URI, and secrets that come in but never go out."""

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as now_
from django.utils.translation import gettext_lazy as _

from hypervisors.access import permitted
from hypervisors.administration.hypervisors import HypervisorValues
from hypervisors.administration.secret_destinations import misdirected_secrets
from hypervisors.errors import InvalidUri
from hypervisors.models import Hypervisor, HypervisorCredentials, HypervisorPool
from hypervisors.models.hypervisor_credentials import CREDENTIALS, SECRETS, readable_credentials_of
from hypervisors.operations.hypervisors.connection_tests import (
    DEFAULT_PORTS,
    ConnectionCandidate,
    HypervisorUri,
    check_uri,
    own_host_keys,
)
from hypervisors.operations.hypervisors.ssh_keys import find_generated_key, public_key_of
from hypervisors.privileges import Privilege

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Hypervisor]
else:
    ModelForm = forms.ModelForm


# The credentials that each transport uses; what others used before is dropped on saving.
_USED_BY_TRANSPORT = {
    "unix": set[str](),
    "tcp": {"sasl_username", "sasl_password"},
    "tls": {"sasl_username", "sasl_password", "tls_ca_certificate", "tls_client_certificate", "tls_client_key"},
    "ssh": {"ssh_private_key", "ssh_known_hosts"},
    "test": set[str](),
}


class SecretTextarea(forms.Textarea):
    """Takes a secret; never gives one back, not even one that was just typed and refused."""

    def format_value(self, value: Any) -> str:
        return ""


class HypervisorForm(ModelForm):
    """`candidate` is what to test and to save, once the form is valid."""

    new_pool = forms.CharField(label=_("Name of the new pool"), max_length=100, required=False)
    transport = forms.ChoiceField(
        label=_("How is it reached?"),
        choices=[("unix", _("This machine")), ("ssh", "SSH"), ("tls", "TLS"), ("tcp", "TCP")],
        widget=forms.RadioSelect,
        required=False,
    )
    host = forms.CharField(label=_("Host name or address"), max_length=253, required=False)
    port = forms.IntegerField(label=_("Port"), min_value=1, max_value=65535, required=False)
    username = forms.CharField(label=_("User on the host"), max_length=64, required=False)
    uri_by_hand = forms.BooleanField(label=_("Write the URI by hand"), required=False)
    sasl_password_remove = forms.BooleanField(label=_("Remove the stored password"), required=False)
    ssh_private_key_remove = forms.BooleanField(label=_("Remove the stored key"), required=False)
    tls_client_key_remove = forms.BooleanField(label=_("Remove the stored key"), required=False)
    ssh_generated_key = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Hypervisor
        fields = ("hypervisor_pool", "name", "uri", "migration_uri", "console_addresses")
        error_messages = {"name": {"unique": _("Another host has this name already.")}}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.note = ""
        self.typed_secrets: frozenset[str] = frozenset()
        # With a wrong key its secrets are empty here: the form opens, and takes new ones.
        self.stored, self.can_read_secrets = readable_credentials_of(self.instance)
        self.before = Hypervisor.objects.get(pk=self.instance.pk) if self.instance.pk is not None else None
        pools = permitted(user, Privilege.HYPERVISOR_MANAGE, HypervisorPool.objects.all())
        self.fields["hypervisor_pool"].queryset = pools  # type: ignore[attr-defined]
        self.fields["hypervisor_pool"].empty_label = _("New pool…")  # type: ignore[attr-defined]
        self.fields.update(_credential_fields())
        for name in CREDENTIALS:
            # A secret that is stored is never shown again; an empty field keeps it.
            self.initial[name] = "" if name in SECRETS else getattr(self.stored, name)
        for name in ("hypervisor_pool", "uri"):
            self.fields[name].required = False
        if not self.is_bound:
            self.initial.update(_address_parts(self.instance))

    @property
    def candidate(self) -> ConnectionCandidate:
        return ConnectionCandidate(**{name: self.cleaned_data[name] for name in ("uri", *sorted(CREDENTIALS))})

    @property
    def has_stored(self) -> dict[str, bool]:
        """Which secrets are stored, for the template."""
        return {name: bool(getattr(self.stored, name)) for name in SECRETS}

    @property
    def stored_public_key(self) -> str:
        """The public half of the stored ssh key, which may be shown."""
        try:
            return public_key_of(self.stored.ssh_private_key)
        except ValueError:
            return ""

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise ValidationError(now_("A name is one line of printable characters."))
        return name

    def clean_new_pool(self) -> str:
        name: str = self.cleaned_data["new_pool"]
        if not name.isprintable():
            raise ValidationError(now_("A name is one line of printable characters."))
        return name

    def clean_migration_uri(self) -> str:
        uri: str = self.cleaned_data["migration_uri"]
        return _checked_uri(uri) if uri else ""

    def clean_console_addresses(self) -> str:
        """IP addresses of one other machine each, each once, separated by a blank."""
        words = self.cleaned_data["console_addresses"].replace(",", " ").split()
        return " ".join(dict.fromkeys(_console_address(word) for word in words))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        self._clean_pool(data)
        self._clean_uri(data)
        self._clean_secrets(data)
        return data

    @property
    def values(self) -> HypervisorValues:
        return HypervisorValues(
            name=self.cleaned_data["name"],
            uri=self.cleaned_data["uri"],
            migration_uri=self.cleaned_data["migration_uri"],
            console_addresses=self.cleaned_data["console_addresses"],
            hypervisor_pool=self.cleaned_data["hypervisor_pool"],
            new_pool=self.cleaned_data["new_pool"],
            credentials={name: self.cleaned_data[name] for name in CREDENTIALS},
            typed=self.typed_secrets,
        )

    def changes_the_connection(self) -> bool:
        """Whether those who hold a connection must reconnect."""
        before = self.before
        if before is None or before.uri != self.instance.uri:
            return True
        return any(getattr(self.stored, name) != self.cleaned_data[name] for name in CREDENTIALS)

    def _clean_pool(self, data: dict[str, Any]) -> None:
        if self.errors.keys() & {"new_pool", "hypervisor_pool"}:
            return
        if data.get("hypervisor_pool"):
            # The field for a new one is hidden then, but may still hold what was typed before.
            data["new_pool"] = ""
        elif not data.get("new_pool"):
            self.add_error("new_pool", now_("Name the new pool, or choose one from the list."))
        elif HypervisorPool.objects.filter(name=data["new_pool"]).exists():
            self.add_error("new_pool", now_("There is a pool of that name already; choose it from the list."))

    def _clean_uri(self, data: dict[str, Any]) -> None:
        if not data.get("uri_by_hand"):
            self._take_host_apart(data)
        if not data.get("uri_by_hand"):
            uri = self._composed_uri(data)
            if uri is None:
                return
            data["uri"] = uri
        try:
            data["uri"] = check_uri(data.get("uri") or "").text
        except InvalidUri as error:
            self.add_error("uri" if data.get("uri_by_hand") else "host", str(error))
            return
        self._refuse_same_uri(data["uri"])

    def _take_host_apart(self, data: dict[str, Any]) -> None:
        """People put into the host's field what they would give to ssh or virsh: root@host, host:22, a whole URI."""
        try:
            found = address_in(data.get("host") or "")
        except InvalidUri as error:
            self.add_error("host", str(error))
            return
        for name, value in found.items():
            if name in ("username", "port") and data.get(name) and data[name] != value:
                self.add_error("host", _TWO_ANSWERS[name].format(here=value, there=data[name]))
        if found:
            data.update(found)
            self.note = now_("What stood in the field “{label}” was taken apart into its own fields.").format(
                label=self.fields["host"].label
            )

    def _composed_uri(self, data: dict[str, Any]) -> str | None:
        transport = data.get("transport")
        if not transport:
            self.add_error("transport", now_("Choose how vmportal reaches it."))
        elif transport == "unix":
            return "qemu:///system"
        elif not data.get("host"):
            if not self.errors.get("host"):
                self.add_error("host", now_("Name the machine, for example host1.example.org or 192.0.2.10."))
        elif not self.errors.get("port"):
            return compose_uri(transport, data["host"], data.get("port"), data.get("username", ""))
        return None

    def _refuse_same_uri(self, uri: str) -> None:
        twin = Hypervisor.objects.filter(uri=uri).exclude(pk=self.instance.pk).first()
        if twin is not None:
            self.add_error("uri", now_("“{name}” has this URI already.").format(name=twin.name))

    def _clean_secrets(self, data: dict[str, Any]) -> None:
        if data.get("ssh_generated_key") and not data.get("ssh_private_key"):
            self._take_generated_key(data)
        self.typed_secrets = frozenset(name for name in SECRETS if data.get(name))
        for name in SECRETS:
            if data.get(f"{name}_remove"):
                data[name] = ""
            elif not data.get(name):
                data[name] = getattr(self.stored, name)
        self._check_private_key(data)
        for name in set(CREDENTIALS) - _credentials_for(data.get("uri") or ""):
            data[name] = ""
        self._bind_host_keys(data)
        self._keep_secrets_home(data)

    def _bind_host_keys(self, data: dict[str, Any]) -> None:
        """Of the host keys, only this host's own."""
        try:
            uri = check_uri(data.get("uri") or "")
            data["ssh_known_hosts"] = own_host_keys(data.get("ssh_known_hosts", ""), uri)
        except InvalidUri:
            return
        except ValueError as error:
            self.add_error("ssh_known_hosts", str(error))

    def _keep_secrets_home(self, data: dict[str, Any]) -> None:
        """A stored secret goes to the machine that it was stored for; for another it is to be typed again."""
        if self.before is None or not data.get("uri"):
            return
        former = {name: getattr(self.stored, name) for name in CREDENTIALS}
        elsewhere = misdirected_secrets(self.before.uri, former, data["uri"], data, typed=self.typed_secrets)
        for name, where in elsewhere.items():
            self.add_error(name, _ENTER_AGAIN[name].format(where=where))

    def _take_generated_key(self, data: dict[str, Any]) -> None:
        key = find_generated_key(data["ssh_generated_key"], user_id=self.user.pk)
        if key is None:
            self.add_error("ssh_private_key", now_("The generated key is forgotten after an hour; generate another."))
        else:
            data["ssh_private_key"] = key

    def _check_private_key(self, data: dict[str, Any]) -> None:
        if data.get("ssh_private_key") and data["ssh_private_key"] != self.stored.ssh_private_key:
            try:
                public_key_of(data["ssh_private_key"])
            except ValueError as error:
                self.add_error("ssh_private_key", str(error))


_ENTER_AGAIN = {
    "sasl_password": _(
        "The stored password is for {where}, its user name and certificate authority only, and goes nowhere else. "
        "Type it again, or remove it."
    ),
    "ssh_private_key": _(
        "The stored key is for {where} and its host key only, and goes nowhere else. "
        "Paste it again, generate a new pair, or remove it."
    ),
    "tls_client_key": _(
        "The stored client key is for {where} and its certificate authority only, and goes nowhere else. "
        "Paste it again, or remove it."
    ),
}


def _credential_fields() -> dict[str, forms.Field]:
    widgets: dict[str, type[forms.Widget] | forms.Widget] = {
        "sasl_password": forms.PasswordInput,
        "ssh_private_key": SecretTextarea,
        "tls_client_key": SecretTextarea,
    }
    return forms.fields_for_model(HypervisorCredentials, fields=CREDENTIALS, widgets=widgets)


def _credentials_for(uri: str) -> set[str]:
    try:
        return _USED_BY_TRANSPORT[check_uri(uri).transport]
    except InvalidUri:
        return set(CREDENTIALS)


def address_in(text: str) -> dict[str, Any]:
    """The fields that a host's field names besides a host; none when it names a host only. Raises: InvalidUri."""
    text = text.strip()
    if "://" in text:
        return _fields_of(check_uri(text))
    username, at, rest = text.rpartition("@")
    found = _HOST_AND_PORT.fullmatch(rest)
    if found is None or not (at or found[2] or found[1].startswith("[")):
        return {}
    fields: dict[str, Any] = {"host": found[1].strip("[]")}
    if at:
        fields["username"] = username
    if found[2]:
        fields["port"] = int(found[2])
        if not 0 < fields["port"] < 65536:
            raise InvalidUri(now_("{port} is not a port.").format(port=fields["port"]))
    return fields


def _fields_of(uri: HypervisorUri) -> dict[str, Any]:
    """By hand where the fields cannot express it."""
    is_usual = uri.port == DEFAULT_PORTS.get(uri.transport)
    fields: dict[str, Any] = {"transport": uri.transport, "host": uri.host, "uri": uri.text}
    fields |= {"username": uri.username} if uri.username else {}
    fields |= {} if is_usual else {"port": uri.port}
    port = None if is_usual else uri.port
    composed = "qemu:///system" if uri.transport == "unix" else compose_uri(uri.transport, uri.host, port, uri.username)
    return fields | {"uri_by_hand": composed != uri.text}


_HOST_AND_PORT = re.compile(r"(\[[^\]@]*\]|[^:@\[\]]+)(?::([0-9]{1,6}))?")
_TWO_ANSWERS = {
    "username": _("This names the user {here}, the field for the user says {there}."),
    "port": _("This names the port {here}, the field for the port says {there}."),
}


def compose_uri(transport: str, host: str, port: int | None, username: str) -> str:
    """The URI of an address; `static/elements/vp-hypervisor-form.js` does the same while it is typed."""
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    user = f"{username}@" if username and transport == "ssh" else ""
    return f"qemu+{transport}://{user}{bracketed}{f':{port}' if port else ''}/system"


def _console_address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValidationError(now_("“{text}” is not an IP address.").format(text=text)) from None
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_loopback or mapped.is_unspecified or mapped.is_link_local or mapped.is_multicast:
        raise ValidationError(now_("{text} is not an address of another machine.").format(text=text))
    return str(mapped)


def _checked_uri(uri: str) -> str:
    try:
        return check_uri(uri).text
    except InvalidUri as error:
        raise ValidationError(str(error)) from error


def _address_parts(hypervisor: Hypervisor) -> dict[str, Any]:
    """The stored URI as the fields show it; by hand where they cannot express it."""
    if not hypervisor.uri:
        return {"transport": "ssh"}
    try:
        uri = check_uri(hypervisor.uri)
    except InvalidUri:
        return {"uri_by_hand": True}
    written_port = uri.port if f":{uri.port}/" in uri.text else None
    parts = {"transport": uri.transport, "host": uri.host, "port": written_port, "username": uri.username}
    composed = (
        "qemu:///system"
        if uri.transport == "unix"
        else compose_uri(uri.transport, uri.host, written_port, uri.username)
    )
    return parts | {"uri_by_hand": composed != uri.text}
