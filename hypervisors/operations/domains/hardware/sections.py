"""A section of a machine that is to be changed: first what runs, by calls of libvirt's own, then what is stored."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible, VmportalError
from hypervisors.gateway.domains.hardware import Hardware
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.libvirtxml.hardware.live_rules import LiveRule, rule_for_section
from hypervisors.libvirtxml.hardware.sections import SECTIONS, change_section, section_values
from hypervisors.models import Domain
from hypervisors.operations.domains.hardware.changing import changed_values
from hypervisors.operations.domains.hardware.checks import (
    checked_base,
    checked_values,
    checked_when,
    definition_of,
    stored_xml,
)
from hypervisors.operations.domains.hardware.looking import ask_live, check_live, hardware_of, looked, sides_for
from hypervisors.operations.domains.hardware.parameters import ChangeSectionParameters
from hypervisors.operations.domains.hardware.section_calls import LiveCall, live_calls, without_call
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.operations.engine.types import checked_choice


def checked_section(domain: Domain, given: Mapping[str, Any]) -> ChangeSectionParameters:
    """Raises: errors.NotPossible, errors.Conflict."""
    definition = definition_of(domain)
    section = checked_choice(given.get("section"), SECTIONS, what=_("section"))
    values, _secrets = checked_values(given.get("values"), SECTIONS[section].fields)
    try:
        change_section(stored_xml(definition), section, values)
    except ValueError as error:
        raise NotPossible(str(error)) from error
    return ChangeSectionParameters(
        section=section,
        values=values,
        when=checked_when(given, domain),
        base_sha256=checked_base(given, definition),
    )


class ChangedSection:
    """The section of one operation, as it becomes."""

    def __init__(self, parameters: ChangeSectionParameters) -> None:
        self._parameters = parameters

    @property
    def key(self) -> str:
        return self._parameters.section

    def changes(self, xml: str) -> dict[str, Value]:
        """What somebody changed in the form that was made of this XML. Raises: ValueError."""
        before = section_values(xml, self.key)
        after = section_values(change_section(xml, self.key, self._parameters.values), self.key)
        return changed_values(before, after)

    def decide(self, run: Run, hardware: Hardware) -> Mapping[str, Any]:
        """Raises: errors.NotPossible, ValueError."""
        sides = sides_for(hardware, self._parameters.when)
        changes = self.changes(hardware.inactive_xml or hardware.live_xml)
        found = {"live": sides.live, "config": sides.config, "is_active": hardware.is_active, "changes": changes}
        if not sides.live:
            return found
        before = section_values(hardware.live_xml, self.key)
        after = {**before, **changes}
        check_live(rule_for_section(self.key, before, after))
        waiting = without_call(self.key, before, after, frozenset(changes))
        if waiting:
            names = ", ".join(sorted(name.replace("_", " ") for name in waiting))
            check_live(LiveRule(is_live=False, why=_("%(what)s wait for that.") % {"what": names}))
        return found | {"before": {name: before.get(name, "") for name in changes}}

    def edit(self, run: Run, xml: str) -> str:
        """What is stored, with the section changed. Raises: ValueError."""
        return change_section(xml, self.key, self._parameters.values) if self.changes(xml) else xml


class ApplySection(Step):
    """Change what runs: all of it, or nothing."""

    name = "apply"
    label = gettext_lazy("Change the running machine")

    def __init__(self, section: ChangedSection) -> None:
        self._section = section

    def do(self, run: Run, intent: Made) -> Made:
        found = looked(run)
        if not found.get("live"):
            return {}
        calls = self._calls(run, found["changes"])
        for number, one in enumerate(calls):
            try:
                self._make(run, one)
            except UNASKABLE:
                raise
            except VmportalError:
                self._take_back(run, calls[:number])
                raise
        return {"live": True}

    def has_made(self, intent: Made, made: Made) -> bool:
        return bool(made)

    def is_done(self, run: Run, intent: Made) -> bool:
        # The same values once more change nothing.
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        found = looked(run)
        if found.get("live") and hardware_of(run).is_active:
            self._take_back(run, self._calls(run, found["changes"]))

    def leftover(self, intent: Made, made: Made) -> str:
        return _("It holds until the machine is off.")

    def _calls(self, run: Run, changes: Mapping[str, Value]) -> list[LiveCall]:
        before = section_values(hardware_of(run).live_xml, self._section.key)
        try:
            return live_calls(self._section.key, before, {**before, **changes}, frozenset(changes))
        except ValueError as error:
            raise NotPossible(str(error)) from error

    def _take_back(self, run: Run, done: list[LiveCall]) -> None:
        fields = {field for one in done for field in one.fields}
        before = {name: value for name, value in looked(run)["before"].items() if name in fields}
        for one in self._calls(run, before) if before else []:
            self._make(run, one)

    def _make(self, run: Run, one: LiveCall) -> None:
        ask_live(run, lambda connection: one.call(connection, run.uuid))
