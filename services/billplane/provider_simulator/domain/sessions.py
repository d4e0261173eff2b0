"""Sessions that need no memory: a token says whose it is and until when, and is signed."""

import base64
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha256
from typing import Literal

Purpose = Literal["session", "challenge"]


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in."""

    username: str
    expires_at: datetime


def sign(seed: int, purpose: Purpose, username: str, expires_at: datetime) -> str:
    """Make a token.

    The key follows from the seed: nothing that the simulator tells is worth protecting.
    """
    payload = json.dumps([purpose, username, int(expires_at.timestamp())]).encode()
    text = base64.urlsafe_b64encode(payload).decode().rstrip("=")
    return f"{text}.{_signature(seed, text)}"


def read(seed: int, purpose: Purpose, token: str) -> Session | None:
    """Return whose token it is; None when it is none of ours for this purpose."""
    text, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(seed, text).encode()):
        return None
    found, username, expires = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if found != purpose:
        return None
    return Session(username, datetime.fromtimestamp(expires, UTC))


def until(now: datetime, seconds: int) -> datetime:
    """Return when something ends that begins now."""
    return now + timedelta(seconds=seconds)


def _signature(seed: int, text: str) -> str:
    key = blake2b(f"provider_simulator/{seed}".encode()).digest()
    return hmac.new(key, text.encode(), sha256).hexdigest()[:32]
