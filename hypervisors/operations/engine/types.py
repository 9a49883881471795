"""Kinds of operations: one class for each, in a file of its noun, which is all that a new kind takes beside its form.

A class that gives itself a `kind` is registered (see engine/registry.py). Pages, messages, workers and tests read what
stands here; no table of kinds stands anywhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.models import Hypervisor, Operation
from hypervisors.operations.engine.queues import OPERATIONS_QUEUE, QUEUES
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.subjects import lock_key
from hypervisors.privileges import Privilege

Subject = TypeVar("Subject", bound=models.Model)
Text = str | Promise

REGISTERED: "dict[str, OperationType[Any]]" = {}


@dataclass(frozen=True, kw_only=True)
class NoParameters:
    """For kinds that need none."""


class OperationType(Generic[Subject]):
    """Base of all kinds; made once, without state. A subclass says what is different."""

    # Stored in rows and messages. "" for bases that are no kind themselves.
    kind: ClassVar[str] = ""
    # One of subjects.SUBJECT_TYPES.
    subject_type: ClassVar[str] = ""
    # "Start", in lists; the icon's name is one of https://tabler.io/icons.
    label: ClassVar[Text] = ""
    icon: ClassVar[str] = ""
    # Who may: see hypervisors/privileges.py.
    privilege: ClassVar[Privilege]
    # What is asked before it is filed ("%s" is the subject's name), and what it will do. Without one, a click does.
    question: ClassVar[Text] = ""
    warning: ClassVar[Text] = ""
    is_dangerous: ClassVar[bool] = False
    # Whether it may be asked of many subjects in one request.
    in_bulk: ClassVar[bool] = False
    # Whether its outcome is a virtual machine: then its own page leads on to that, and its subject is only the place.
    makes_machine: ClassVar[bool] = False
    # Whether it can be stopped once it runs; while it waits, everything can.
    can_be_cancelled: ClassVar[bool] = False
    queue: ClassVar[str] = OPERATIONS_QUEUE
    # Where they differ from those of the queue.
    own_time_limit_seconds: ClassVar[float | None] = None
    own_slots_per_hypervisor: ClassVar[int | None] = None
    # Kinds that are ended when this one is asked for while they merely wait for the guest.
    supersedes: ClassVar[frozenset[str]] = frozenset()
    Parameters: ClassVar[type[Any]] = NoParameters
    # Names of parameters that hold secrets: the audit never gets them, and the row loses them with its end.
    secret_parameters: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" in cls.__dict__ and cls.kind:
            known = REGISTERED.get(cls.kind)
            if known is not None and type(known).__qualname__ != cls.__qualname__:
                raise TypeError(f"{cls.__qualname__} and {type(known).__qualname__} are both of the kind “{cls.kind}”.")
            REGISTERED[cls.kind] = cls()

    @property
    def time_limit_seconds(self) -> float:
        return self.own_time_limit_seconds or QUEUES[self.queue].time_limit_seconds

    @property
    def slots_per_hypervisor(self) -> int:
        return self.own_slots_per_hypervisor or QUEUES[self.queue].slots_per_hypervisor

    # --- before: asked by pages and requests, from rows alone

    def word(self, subject: Subject) -> str:
        """What its button says; may depend on the subject."""
        return str(self.label)

    def is_offered(self, subject: Subject) -> bool:
        """Whether it makes sense to show at all; what is shown and not possible says `why_not`."""
        return True

    def why_gone(self, subject: Subject) -> str:
        """Why it can never be done again, whoever holds the subject: it is not there any more. "" while it is."""
        return ""

    def why_not(self, subject: Subject) -> str:
        """Why it cannot be done now; "" when it can. Locks are looked at elsewhere."""
        raise NotImplementedError

    def click_values(self, subject: Subject) -> dict[str, str]:
        """Parameters that a click on its button carries."""
        return {}

    def locks(self, subject: Subject, parameters: Any) -> tuple[str, ...]:
        """Keys of OperationLock that it holds from the request to its end."""
        return (lock_key(subject),)

    def check(self, subject: Subject, given: Mapping[str, Any]) -> Any:
        """`Parameters` of what was given, validated. Raises: errors.NotPossible, whose text says what is wrong."""
        return self.Parameters()

    def also_needs(self, subject: Subject, parameters: Any) -> Sequence[tuple[Privilege, models.Model | None]]:
        """What the person must be allowed besides the kind's privilege on the subject, and on what."""
        return ()

    def check_target(self, subject: Subject, target: Hypervisor | None) -> Hypervisor | None:
        """The host that it goes to, for kinds that go anywhere. Raises: errors.NotPossible."""
        return None

    def subject_name(self, subject: Subject, parameters: Any) -> str:
        """What history calls it."""
        return str(subject)

    # --- then: by a worker

    def run(self, run: Run) -> Result:
        """Do it, as far as it goes now. May raise errors.VmportalError, which fails it."""
        raise NotImplementedError

    def after(self, operation: Operation) -> None:
        """Its row says that it is over; only to tell others, for it is lost with the worker."""

    # --- afterwards

    def title(self, operation: Operation) -> str:
        """What the operation is called in lists."""
        return str(self.label)

    def parameters_of(self, operation: Operation) -> Any:
        """`Parameters` as the row holds them; keys that another version wrote are passed over."""
        names = {field.name for field in fields(self.Parameters)}
        return self.Parameters(**{name: value for name, value in operation.parameters.items() if name in names})

    def kept(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Of a row's parameters what may be kept for good: all but secrets."""
        return {name: value for name, value in parameters.items() if name not in self.secret_parameters}

    def stored(self, parameters: Any) -> dict[str, Any]:
        """As JSON; values that are None are left out."""
        return {name: value for name, value in asdict(parameters).items() if value is not None}


def checked_choice(value: object, choices: Mapping[str, Any], *, what: str) -> str:
    """The value, if it is one of the choices. Raises: errors.NotPossible."""
    if not isinstance(value, str) or value not in choices:
        allowed = ", ".join(choices)
        raise NotPossible(_("Choose the %(what)s: %(allowed)s.") % {"what": what, "allowed": allowed})
    return value
