"""Rules of notification: who wants an event, how it is signed, when it is tried again."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

# The version of Stripe's API whose event object ours is. Source: docs.stripe.com/api/versioning.
API_VERSION: Final = "2026-10-28.endive"
EVENT_DAYS: Final = 30
ENDPOINTS_MAX: Final = 5000
# An endpoint that has answered nothing well for so long is disabled; so long each event is tried.
GIVE_UP_AFTER: Final = timedelta(days=3)
ROTATION: Final = timedelta(hours=24)
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_BYTES: Final = 24

_SECONDS: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800)
_SECONDS_LAST: Final = 43_200
_MESSAGE_SECONDS: Final = (10, 60, 300, 1800, 7200, 21_600, 43_200)

PENDING, SUCCEEDED, FAILED, CANCELED = "pending", "succeeded", "failed", "canceled"
ENABLED, DISABLED = "enabled", "disabled"

_SPREAD: Final = 1000


def patterns(event_type: str) -> list[str]:
    """Return every pattern that an event type falls under: itself, `invoice.*`, `*`."""
    parts = event_type.split(".")
    wider = [".".join(parts[:length]) + ".*" for length in range(1, len(parts))]
    return ["*", *wider, event_type]


def matches(event_type: str, wanted: Sequence[str]) -> bool:
    """Tell whether an event is among the wanted types; none named means all."""
    return not wanted or not set(patterns(event_type)).isdisjoint(wanted)


def retry_at(attempts: int, created_at: datetime, now: datetime, chance: int) -> datetime | None:
    """Return when a delivery is tried again after so many attempts, None when it is given up.

    `chance` from 0 to 999 spreads the tries by a fifth, so that what failed together does not
    come back together.
    """
    base = _SECONDS[attempts - 1] if attempts <= len(_SECONDS) else _SECONDS_LAST
    at = now + _spread(base, chance)
    last = created_at + GIVE_UP_AFTER
    if now >= last:
        return None
    return min(at, last)


def send_again_at(attempts: int, now: datetime, chance: int) -> datetime | None:
    """Return when an e-mail or short message is tried again, None when it is given up."""
    if attempts > len(_MESSAGE_SECONDS):
        return None
    return now + _spread(_MESSAGE_SECONDS[attempts - 1], chance)


def _spread(seconds: int, chance: int) -> timedelta:
    thousandths = _SPREAD * 9 // 10 + chance // 5
    return timedelta(milliseconds=seconds * thousandths)


def secret_of(raw: bytes) -> str:
    """Write a secret so that Stripe's libraries and those of Standard Webhooks take it alike.

    Source: github.com/standard-webhooks, section "Symmetric" (whsec_ and base64).
    """
    return _SECRET_PREFIX + base64.b64encode(raw).decode()


@dataclass(frozen=True, slots=True)
class Signed:
    """Headers that let a receiver check who sent a payload."""

    stripe: str
    standard: str


def sign(payload: bytes, message_id: str, seconds: int, secrets: Sequence[str]) -> Signed:
    """Sign a payload with every live secret, for both families of libraries.

    Source: docs.stripe.com/webhooks/signature; github.com/standard-webhooks, "Signature scheme".
    """
    for_stripe = b"%d." % seconds + payload
    for_standard = f"{message_id}.{seconds}.".encode() + payload
    stripe, standard = [f"t={seconds}"], []
    for secret in secrets:
        stripe.append("v1=" + hmac.digest(secret.encode(), for_stripe, "sha256").hex())
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
        digest = hmac.digest(key, for_standard, "sha256")
        standard.append("v1," + base64.b64encode(digest).decode())
    return Signed(",".join(stripe), " ".join(standard))


def digest_of(text: str) -> str:
    """Name a text by its hash."""
    return hashlib.sha256(text.encode()).hexdigest()
