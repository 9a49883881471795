"""Give a libvirt secret another value; nobody is told the one before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.storage.secrets import set_secret_value
from hypervisors.models import HostSecret
from hypervisors.operations.engine.runs import Result, Run, failed
from hypervisors.operations.storage.secret_operations import SecretOperation, find_secret, gone_text
from hypervisors.operations.storage.secret_uses import check_confirmed
from hypervisors.operations.storage.secret_values import checked_value, value_bytes


@dataclass(frozen=True, kw_only=True)
class SetSecretValueParameters:
    """`confirmed_name`: what the person typed, where something is encrypted with the value before."""

    value: str = ""
    is_base64: bool = False
    confirmed_name: str = ""


class SetSecretValue(SecretOperation):
    kind = "set_secret_value"
    label = gettext_lazy("Change value of secret")
    icon = "key"
    Parameters: ClassVar[type[Any]] = SetSecretValueParameters
    secret_parameters = frozenset({"value"})

    def check(self, secret: HostSecret, given: Mapping[str, Any]) -> SetSecretValueParameters:
        value, is_base64 = checked_value(given)
        confirmed_name = str(given.get("confirmed_name") or "").strip()
        check_confirmed(secret, confirmed_name)
        return SetSecretValueParameters(value=value, is_base64=is_base64, confirmed_name=confirmed_name)

    def run(self, run: Run) -> Result:
        secret = find_secret(run)
        if secret is None:
            return failed(gone_text())
        uuid, wanted = secret.uuid, run.parameters
        check_confirmed(secret, wanted.confirmed_name)
        value = value_bytes(wanted.value, is_base64=wanted.is_base64)
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: set_secret_value(connection, uuid, value))
        except HypervisorError as error:
            problem = error
        done = problem is None
        # Nobody reads a value: that libvirt took it is all there is to know.
        return run.judge(lambda _connection: done, done=_("It has another value."), problem=problem)
