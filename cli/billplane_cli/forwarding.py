"""Handing events to a program of this machine as a webhook would, signed."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode

_LABEL: Final = b"billplane/listen/1"
_SECRET_BYTES: Final = 24
_TIMEOUT_SECONDS: Final = 30.0
# A program that is started anew is away for some moments.
_PATIENCE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.25


def signing_secret(credential: str) -> str:
    """Give the secret of a credential: the same in each run, and nobody's who has it not.

    Letters and digits alone, as keys are copied by a double click.
    """
    for number in range(1 << 16):
        label = _LABEL + number.to_bytes(2, "big")
        digest = hmac.digest(credential.encode(), label, "sha256")[:_SECRET_BYTES]
        text = base64.b64encode(digest).decode()
        if text.isalnum():
            return f"whsec_{text}"
    raise CliError("No signing secret can be made of this credential.")


def sign(payload: bytes, event_id: str, seconds: int, secret: str) -> dict[str, str]:
    """Make the headers of a delivery, as the platform's own webhooks have them.

    Source: docs.stripe.com/webhooks/signature; github.com/standard-webhooks.
    """
    stripe = hmac.digest(secret.encode(), b"%d." % seconds + payload, "sha256").hex()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{event_id}.{seconds}.".encode() + payload
    standard = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Billplane/1.0 (+listen)",
        "Stripe-Signature": f"t={seconds},v1={stripe}",
        "webhook-id": event_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{standard}",
    }


class Forwarder:
    """Posts events to one address, one after the other, over a kept connection."""

    def __init__(self, address: str, secret: str, tell: Callable[[str], None]) -> None:
        url = address if "://" in address else f"http://{address}"
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CliError(
                f"{address!r} is not an address such as localhost:4242/webhook.",
                exit_code=ExitCode.USAGE,
            )
        self.url = url
        self._secret = secret
        self._tell = tell
        self._parts = parts
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection: http.client.HTTPConnection | None = None
        self._given_up = False

    def forward(self, event: Mapping[str, Any]) -> str:
        """Post an event; give the status, or why there is none.

        A program that is away is waited for, once for each time that it goes away.
        """
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        deadline = time.monotonic() + (0 if self._given_up else _PATIENCE_SECONDS)
        told = False
        while True:
            headers = sign(payload, str(event["id"]), int(time.time()), self._secret)
            try:
                status = self._post(payload, headers)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if time.monotonic() > deadline:
                    self._given_up = True
                    return f"not delivered: {error}"
                if not told:
                    self._tell(f"{self.url} does not answer ({error}); trying again.")
                    told = True
                time.sleep(_PAUSE_SECONDS)
            else:
                self._given_up = False
                return str(status)

    def close(self) -> None:
        """Close the connection; the next event opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, payload: bytes, headers: Mapping[str, str]) -> int:
        kept = self._connection is not None
        try:
            return self._post_once(payload, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A server closes connections that were idle; that is no failure.
            if not kept:
                raise
            self.close()
            return self._post_once(payload, headers)

    def _post_once(self, payload: bytes, headers: Mapping[str, str]) -> int:
        if self._connection is None:
            host, port = str(self._parts.hostname), self._parts.port
            secure = self._parts.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connection = kind(host, port, timeout=_TIMEOUT_SECONDS)
        self._connection.request("POST", self._target, payload, dict(headers))
        response = self._connection.getresponse()
        response.read()
        return response.status


@dataclass(frozen=True)
class Position:
    """How far a listener came, kept so that the same command goes on from there."""

    path: Path

    @classmethod
    def of(cls, *parts: str) -> "Position":
        """Give the place of a listener, by all that makes it this one and no other."""
        base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
        return cls(Path(base).expanduser() / "billplane" / "listen" / name)

    def load(self) -> str:
        """Read the cursor; empty when there is none."""
        try:
            cursor = self.path.read_text("ascii").strip()
        except (OSError, ValueError):
            return ""
        return cursor if cursor.isdecimal() else ""

    def save(self, cursor: str) -> None:
        """Keep a cursor: written beside and put in place, so that a kill leaves the one before."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(cursor, "ascii")
        partial.replace(self.path)
