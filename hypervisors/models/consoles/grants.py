"""Console grants: short-lived, used once, and kept in Redis by their hash only.

A grant is good for one user in one login session, one domain, one kind of console and one mode. Who reads Redis
learns no token, and whoever redeems one takes it away with the same command (GETDEL).
"""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from typing import Literal, cast
from uuid import UUID

from django.conf import settings

from hypervisors.models.consoles.redis import console_redis

# 256 random bits.
_TOKEN_BYTES = 32

ConsoleKind = Literal["vnc"]
ConsoleMode = Literal["control", "view"]


@dataclass(frozen=True, kw_only=True)
class ConsoleGrant:
    """What a token stands for. `session_hash` is `hash_session` of the login session that asked for it."""

    user_id: int
    session_hash: str
    domain_uuid: UUID
    kind: ConsoleKind = "vnc"
    mode: ConsoleMode = "control"
    # What the console is called once it is open, and the one of the same person whose place it takes.
    session: str = ""
    replaces: str = ""


def hash_session(session_key: str) -> str:
    """A login session's name that may be stored and sent: the key itself would let its reader log in."""
    return hashlib.sha256(session_key.encode()).hexdigest()


def issue_grant(grant: ConsoleGrant) -> str:
    """A new token, good for CONSOLE_GRANT_SECONDS. Raises: redis.RedisError."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    record = asdict(grant) | {"domain_uuid": str(grant.domain_uuid)}
    console_redis().set(_key(token), json.dumps(record), ex=settings.CONSOLE_GRANT_SECONDS)
    return token


def redeem_grant(token: str) -> ConsoleGrant | None:
    """The grant, and its end; None when it is unknown, used or expired. Raises: redis.RedisError."""
    record = console_redis().getdel(_key(token))
    if record is None:
        return None
    values = json.loads(cast("bytes", record))
    return ConsoleGrant(**(values | {"domain_uuid": UUID(values["domain_uuid"])}))


def _key(token: str) -> str:
    return f"vmportal:console:grant:{hashlib.sha256(token.encode()).hexdigest()}"
