"""The form of a network or a storage pool: the fields that its kind has, or, of a new one, its XML.

Of a new one each can be turned into the other; the XML of one that is there is edited on a page of its own.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Generic

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from hypervisors.libvirtxml.definitions import DefinitionXml, Spec
from hypervisors.libvirtxml.typed_documents import MalformedXml, read_typed
from hypervisors.schemas.relax_ng import SchemaFault, schema_faults
from hypervisors.web.xml.reviews import told_faults

_SEPARATORS = re.compile(r"[\s,;]+")
Labels = Mapping[tuple[str, str], Any]


class DefinitionForm(forms.Form, Generic[Spec]):
    """`read` gives what the fields, or the XML, say; `problems` what is wrong with it, by field.

    Nothing is required by Django: what is missing is said when it is asked for, not while somebody types.
    """

    definition_xml: ClassVar[DefinitionXml[Any]]
    # The field, and the spec's, that says of which kind it is; all kinds by name, and which is meant by none.
    kind_field: ClassVar[str]
    kinds: ClassVar[Mapping[str, Any]]
    usual_kind: ClassVar[str]
    # Of a kind that is not among them; with its name.
    no_fields: ClassVar[Any]
    # What a field is called by a kind that has its own word for it, by both names.
    labels: ClassVar[Labels]
    hints: ClassVar[Labels]
    hints_of_fields: ClassVar[Mapping[str, Any]]

    view = forms.ChoiceField(choices=[("form", ""), ("xml", "")], widget=forms.HiddenInput, required=False)
    name = forms.CharField(label=_("Name"), required=False, max_length=255)
    start = forms.BooleanField(label=_("Start it now"), required=False, initial=True)
    autostart = forms.BooleanField(label=_("Start it with its host"), required=False, initial=True)
    xml = forms.CharField(label=_("XML"), required=False, max_length=500_000, widget=forms.Textarea)

    def __init__(self, *args: Any, fixed: Spec | None = None, **kwargs: Any) -> None:
        """`fixed`: what is edited, whose name and kind stay."""
        super().__init__(*args, **kwargs)
        self.fixed = fixed
        self.problems: dict[str, str] = {}
        self.malformed_line = 0
        self.schema_faults: tuple[SchemaFault, ...] | None = None

    # --- what a noun says of itself

    @classmethod
    def initial_of(cls, spec: Any) -> dict[str, Any]:
        """The values of the fields that say the same."""
        raise NotImplementedError

    @property
    def shown_names(self) -> list[str]:
        """The kind's fields that are on the screen, beside its name."""
        raise NotImplementedError

    def spec_of_fields(self) -> Spec:
        raise NotImplementedError

    def is_buildable(self, spec: Spec) -> bool:
        """Whether it can be written as XML, wrong or not."""
        return getattr(spec, self.kind_field) in self.kinds

    def placed(self, problems: dict[str, str], spec: Spec) -> dict[str, str]:
        """Each beside the field that can mend it."""
        return problems

    def placeholder(self, name: str) -> str:
        return ""

    def is_optional(self, name: str) -> bool:
        return name not in self.type.required

    # --- what is shown

    @property
    def type(self) -> Any:
        return self.kinds.get(self.kind_name, self.kinds[self.usual_kind])

    @property
    def kind_name(self) -> str:
        if self.fixed is not None:
            return str(getattr(self.fixed, self.kind_field))
        return str(self.data.get(self.kind_field) or self.initial.get(self.kind_field) or self.usual_kind)

    @property
    def has_fields(self) -> bool:
        """Of another kind there is the XML alone."""
        return self.kind_name in self.kinds

    @property
    def is_xml(self) -> bool:
        return self.fixed is None and str(self.data.get("view") or self.initial.get("view") or "form") == "xml"

    @property
    def said_at(self) -> str:
        """The elements that say what is wrong, for htmx; those of one that is edited are fewer."""
        ids = ["#definition-messages", *(f"#error-{name}" for name in self.shown_names)]
        if self.is_xml:
            ids = ["#definition-messages", "#definition-xml-checked"]
        elif self.fixed is None:
            ids.append("#error-name")
        return ",".join(ids if self.fixed is not None else [*ids, "#definition-places", "#definition-submit"])

    @property
    def hidden_in_xml(self) -> list[forms.BoundField]:
        """What the fields said, so that it is still there when they are shown again."""
        return [self[self.kind_field]]

    @property
    def other_problems(self) -> list[str]:
        """Of what has no field on the screen now."""
        shown = {"name", *self.shown_names}
        return [text for name, text in self.problems.items() if self.is_xml or name not in shown]

    @property
    def name_field(self) -> dict[str, Any]:
        return self.shown("name") | {"is_optional": False}

    @property
    def fault_lines(self) -> list[dict[str, Any]]:
        return told_faults(self.schema_faults or ())

    @property
    def fits_schema(self) -> bool:
        return self.schema_faults == () and not self.problems

    def shown(self, name: str) -> dict[str, Any]:
        """The field with its label, hint, problem and whether it may be left empty."""
        key = (self.type.name, name)
        bound = self[name]
        bound.label = self.labels.get(key, bound.label)
        self.fields[name].widget.attrs["placeholder"] = self.placeholder(name)
        return {
            "name": name,
            "bound": bound,
            "hint": self.hints.get(key, self.hints_of_fields.get(name, "")),
            "problem": self.problems.get(name, ""),
            "is_optional": self.is_optional(name),
        }

    # --- what it says

    def read(self) -> Spec | None:
        """The spec, with `problems` filled in; None where there is none."""
        if not self.is_valid():
            self.problems |= {name: " ".join(map(str, texts)) for name, texts in self.errors.items()}
            return None
        if self.is_xml:
            return self._read_xml()
        spec = self.spec_of_fields()
        self.problems |= self.placed(self.definition_xml.problems(spec), spec)
        return spec

    def has_new_problems(self) -> bool:
        """What was so before, made by others, is nobody's mistake now."""
        before = () if self.fixed is None else self.definition_xml.problems(self.fixed).values()
        return any(text not in before for text in self.problems.values())

    def parameters(self) -> dict[str, Any]:
        """Of the operation that creates it, once read() found no problem."""
        data = self.cleaned_data
        said = {"xml": data["xml"]} if self.is_xml else {"spec": self.spec_of_fields().to_json()}
        return said | {"start": data["start"], "autostart": data["autostart"]}

    def mute_what_is_missing(self) -> None:
        """While somebody still types: what is not filled in yet is no mistake."""
        empty = {name for name in self.fields if not str(self.data.get(name, "")).strip()}
        self.problems = {name: text for name, text in self.problems.items() if name not in empty}

    def turned_to_xml(self) -> "DefinitionForm[Spec]":
        """A form that shows as XML what this one says."""
        spec = self.spec_of_fields() if self.is_valid() else None
        xml = self.definition_xml.build(spec) if spec is not None and self.is_buildable(spec) else ""
        return self._sent({**self._said(), "view": "xml", "xml": xml})

    def turned_to_fields(self) -> "DefinitionForm[Spec]":
        """A form that shows in fields what the XML says. Raises: ValueError."""
        spec = self.definition_xml.read(str(self.data.get("xml", "")))
        kind = getattr(spec, self.kind_field)
        if kind not in self.kinds:
            raise ValueError(str(self.no_fields) % kind)
        said = self.initial_of(spec)
        # As a browser sends them: a box that is not ticked is not there.
        kept = {name: value for name, value in self._said().items() if not isinstance(said.get(name), bool)}
        ticked = {name: value for name, value in said.items() if value is not False}
        return self._sent({**kept, **ticked, "view": "form"})

    def _said(self) -> dict[str, Any]:
        return {name: self.data[name] for name in self.data}

    def _sent(self, values: Mapping[str, Any]) -> "DefinitionForm[Spec]":
        data = QueryDict(mutable=True)
        for name, value in values.items():
            data[name] = str(value)
        return type(self)(data, fixed=self.fixed)

    def _read_xml(self) -> Spec | None:
        xml = self.cleaned_data["xml"]
        try:
            root = read_typed(xml)
            spec: Spec = self.definition_xml.read(xml)
        except ValueError as error:
            self.problems["xml"] = str(error)
            self.malformed_line = error.line if isinstance(error, MalformedXml) else 0
            return None
        self.schema_faults = schema_faults(root)
        wrong = self.definition_xml.name_problem(spec.name)
        if wrong:
            self.problems["xml"] = wrong
        return spec


def words_of(text: str) -> tuple[str, ...]:
    """What is separated by spaces or commas."""
    return tuple(filter(None, _SEPARATORS.split(text)))
