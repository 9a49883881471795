"""What libvirt's calls fail with, where its text decides: it has one code (55, 38, 1) for many reasons."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import libvirt

from hypervisors import errors
from hypervisors.gateway.failures import message_of, translate


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What it means when the text fits the pattern, or the code is this one; `advice` says what to do."""

    pattern: re.Pattern[str]
    kind: type[errors.OperationRefused]
    advice: str
    code: int | None = None

    def fits(self, error: libvirt.libvirtError) -> bool:
        is_code = self.code is not None and error.get_error_code() == self.code
        return is_code or bool(self.pattern.search(message_of(error)))


def rule(pattern: str, kind: type[errors.OperationRefused], advice: str, *, code: int | None = None) -> Rule:
    return Rule(pattern=re.compile(pattern, re.IGNORECASE), kind=kind, advice=advice, code=code)


def translate_by(rules: Sequence[Rule], error: libvirt.libvirtError, what: str) -> errors.HypervisorError:
    """By the first rule that fits, unless the connection is lost or the object is gone."""
    general = translate(error, what)
    if isinstance(general, errors.ConnectionLost | errors.NotFound):
        return general
    found = next((one for one in rules if one.fits(error)), None)
    return general if found is None else found.kind(f"{general} {found.advice}", libvirt_code=error.get_error_code())


@contextmanager
def translated_by(rules: Sequence[Rule], what: str) -> Iterator[None]:
    """Turn libvirtError into errors.*; `what` is what was asked, as in "create volume web1.qcow2"."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate_by(rules, error, what) from error
