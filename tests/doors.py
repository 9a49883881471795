"""Every route of the project, with an address of each: for tests that ask the same of all of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.urls import URLPattern, URLResolver, get_resolver

from hypervisors import web

# Arguments in patterns, and groups in regular expressions of packages.
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
_GROUP = re.compile(r"\(\?P<(\w+)>[^)]*\)")
_READ_FIELD = re.compile(
    r"""(?:GET|POST|values|params)\.(?:get|getlist)\(\s*["'](\w+)["']|["'](\w+)["'] in request\.POST"""
)


def all_routes() -> dict[str, URLPattern]:
    """The pattern by its route, such as "vms/<uuid:uuid>/": ours and those of the packages that we include.

    Of two that are alike the first is who answers.
    """
    found: dict[str, URLPattern] = {}
    for route, pattern in _below("", get_resolver().url_patterns):
        found.setdefault(route, pattern)
    return found


def _below(prefix: str, patterns: list[Any]) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _below(route, pattern.url_patterns)
        else:
            yield route, pattern


def arguments_of(route: str) -> list[str]:
    return _GROUP.findall(route) + _ARGUMENT.findall(_GROUP.sub("", route))


def address(route: str, given: dict[str, Any]) -> str:
    """The route's path with its arguments filled in; those that are not given become "1"."""
    if _GROUP.search(route):
        route = _GROUP.sub(r"<\1>", route).replace("^", "").removesuffix("$")
    return "/" + _ARGUMENT.sub(lambda found: quote(str(given.get(found[1], "1")), safe=""), route)


def field_names() -> list[str]:
    """Every parameter that a view reads by its name."""
    names = {"next", "login", "password", "oldpassword", "password1", "password2", "code"}
    for path in Path(str(web.__file__)).parent.rglob("*.py"):
        for first, second in _READ_FIELD.findall(path.read_text()):
            names.add(first or second)
    return sorted(names)
