"""One GET of a URL, followed through its redirects, each of which is judged anew."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import urllib3

from hypervisors.errors import NotPossible, VmportalError
from hypervisors.fetching.addresses import Network, judged_address

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_MOST_URL_CHARACTERS = 2000
_AGENT = "vmportal"
# Python itself refuses to read numbers of thousands of digits.
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
_LENGTH = re.compile(r"\d{1,19}", re.ASCII)


class FetchRefused(NotPossible):
    """It cannot be had from there; the text is for people."""


class FetchBroken(VmportalError):
    """The server could not be reached, or the connection broke: another try may do."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """An answer whose body has not been read yet.

    `offset` is where the body begins in the file: 0, though another was asked for, when the server sends all of it.
    """

    url: str
    offset: int
    # Of the whole file; None where the server does not say.
    length_bytes: int | None
    # What tells this version of the file from another; "" where the server does not say.
    tag: str
    response: Any

    def cut(self) -> None:
        """End the body from another thread: who waits in `blocks` gets FetchBroken."""
        with suppress(OSError, ValueError, RuntimeError):
            self.response.shutdown()

    def blocks(self, block_bytes: int) -> Iterator[bytes]:
        """The body, in blocks of that size but for the last. Raises: FetchBroken."""
        try:
            while block := self.response.read(block_bytes):
                yield block
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise FetchBroken(f"The connection to {urlsplit(self.url).hostname} broke.") from error


@contextmanager
def checked_fetch(
    url: str,
    *,
    allow: Iterable[Network] = (),
    most_bytes: int,
    offset: int = 0,
    tag: str = "",
) -> Iterator[Fetched]:
    """Ask for the file, from an offset on if it is still the one of that tag; the body is read by `blocks`.

    Raises: FetchRefused, AddressRefused (both NotPossible), and FetchBroken.
    """
    allow = tuple(allow)
    for _ in range(_MOST_REDIRECTS + 1):
        parts = checked_url(url)
        pool = _pool(parts, allow)
        try:
            response = _get(pool, parts, offset, tag)
            target = response.headers.get("Location") if response.status in _REDIRECTS else None
            if target is None:
                yield _fetched(url, response, offset, most_bytes)
                return
            url = _joined(url, target)
        finally:
            pool.close()
    raise FetchRefused("It leads from one address to another without an end.")


def checked_url(url: str) -> SplitResult:
    """Raises: FetchRefused for what is no URL of a file on a web server."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchRefused("That is no URL.") from error
    if len(url) > _MOST_URL_CHARACTERS or not url.isprintable() or " " in url:
        raise FetchRefused("That is no URL.")
    if parts.scheme not in _PORTS:
        raise FetchRefused("Only http:// and https:// are fetched.")
    if not parts.hostname or port == 0:
        raise FetchRefused("The URL names no server.")
    if parts.username is not None or parts.password is not None:
        raise FetchRefused("A URL with a name and a password in it is not fetched: both would be written down.")
    return parts


def _joined(url: str, target: str) -> str:
    """Where a redirect leads. Raises: FetchRefused."""
    try:
        return urljoin(url, target)
    except ValueError as error:
        raise FetchRefused("It leads to what is no URL.") from error


def file_name_of(url: str) -> str:
    """The last part of its path, as a volume could be called; "" where it has none."""
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2]).strip()[:200].replace("/", "")
    except ValueError:
        return ""


def _pool(parts: SplitResult, allow: tuple[Network, ...]) -> urllib3.HTTPConnectionPool:
    """Connects to the address that was judged, whatever the name resolves to later."""
    host = parts.hostname or ""
    port = parts.port or _PORTS[parts.scheme]
    address = judged_address(host, port, allow=allow)
    if parts.scheme == "http":
        return urllib3.HTTPConnectionPool(address, port, timeout=_TIMEOUT, retries=False)
    return urllib3.HTTPSConnectionPool(
        address, port, timeout=_TIMEOUT, retries=False, server_hostname=host, assert_hostname=host
    )


def _get(pool: urllib3.HTTPConnectionPool, parts: SplitResult, offset: int, tag: str) -> Any:
    """Raises: FetchBroken, FetchRefused."""
    headers = {"Host": _host_header(parts), "User-Agent": _AGENT, "Accept-Encoding": "identity", "Accept": "*/*"}
    if offset and tag:
        headers |= {"Range": f"bytes={offset}-", "If-Range": tag}
    target = urllib3.util.Url(path=parts.path or "/", query=parts.query or None).request_uri
    try:
        return pool.urlopen(
            "GET", target, headers=headers, redirect=False, preload_content=False, decode_content=False, retries=False
        )
    except urllib3.exceptions.SSLError as error:
        raise FetchRefused(f"The certificate of {parts.hostname} is not one that is trusted here.") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise FetchBroken(f"{parts.hostname} does not answer.") from error


def _host_header(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host.encode("idna").decode()
    return host if parts.port in (None, _PORTS[parts.scheme]) else f"{host}:{parts.port}"


def _fetched(url: str, response: Any, offset: int, most_bytes: int) -> Fetched:
    """Raises: FetchRefused, FetchBroken."""
    host = urlsplit(url).hostname
    if response.status >= 500 or response.status == 429:
        raise FetchBroken(f"{host} answered with {response.status}.")
    if response.status not in (200, 206):
        raise FetchRefused(f"{host} does not give it: it answered with {response.status} {response.reason or ''}.")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise FetchRefused(f"{host} sends it compressed, though it was asked not to.")
    begin, total = _extent(response, offset)
    if total is not None and total > most_bytes:
        raise FetchRefused(f"It has {total} bytes, more than may be fetched (VMPORTAL_FETCH_MAX_GIB).")
    tag = response.headers.get("ETag", "")
    # A weak one, W/"…", promises nothing about bytes.
    tag = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    return Fetched(url=url, offset=begin, length_bytes=total, tag=tag, response=response)


def _extent(response: Any, offset: int) -> tuple[int, int | None]:
    """Where the body begins, and how long the whole file is. Raises: FetchRefused."""
    if response.status == 206:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != offset:
            raise FetchRefused("The server sends another part of the file than it was asked for.")
        return offset, None if found[3] == "*" else int(found[3])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if _LENGTH.fullmatch(length) else None
