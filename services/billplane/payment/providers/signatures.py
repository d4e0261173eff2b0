"""Signatures of webhooks: `t=<seconds>,v1=<HMAC-SHA256 of "seconds.body">`.

Source: docs.stripe.com/webhooks#verify-manually.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from billplane.payment.providers.base import EventRefused

TOLERANCE_SECONDS: Final = 300


def sign(body: bytes, secret: str, at: datetime) -> str:
    """Return the header of a body that is sent now."""
    seconds = int(at.timestamp())
    return f"t={seconds},v1={_mac(body, secret, str(seconds))}"


def verify(body: bytes, header: str, secrets: Sequence[str], now: datetime) -> None:
    """Check a header by any of the secrets; several are in use while one replaces another.

    Raises: EventRefused.
    """
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    given = [value.strip() for name, _, value in parts if name.strip() == "v1"]
    known = [secret.strip() for secret in secrets if secret.strip()]
    if not known:
        raise EventRefused("no secret is set for this processor's webhooks")
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 11:
        raise EventRefused("the signature header has no time")
    wanted = [_mac(body, secret, times[0]) for secret in known]
    if not any(hmac.compare_digest(mac.encode(), one.encode()) for mac in given for one in wanted):
        raise EventRefused("the signature does not fit the body")
    if abs(int(now.timestamp()) - int(times[0])) > TOLERANCE_SECONDS:
        raise EventRefused(f"the signature is older than {TOLERANCE_SECONDS} s")


def _mac(body: bytes, secret: str, seconds: str) -> str:
    return hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
