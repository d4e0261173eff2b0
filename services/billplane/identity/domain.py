"""Rules of identity: e-mail addresses, passwords, keys and their parts."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from zlib import crc32

from email_validator import EmailNotValidError, validate_email

from billplane.chassis.errors import FieldError, Invalid

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz"
_KEY = re.compile(r"sk_(test|live)_([0-9a-z]{10})_([0-9A-Za-z]{32})([0-9a-z]{6})\Z")
_SCOPE = re.compile(r"(\*|[a-z_]{1,40}:(read|write))\Z")
PASSWORD_MIN, PASSWORD_MAX = 8, 128


@dataclass(frozen=True, slots=True)
class KeyParts:
    """An API key taken apart."""

    id: str
    livemode: bool
    hash: str


def normalise_email(text: str) -> tuple[str, str]:
    """Return the address as written, normalised, and the form that must be unique.

    Raises: Invalid. The domain is not looked up.
    """
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise Invalid([FieldError("/email", "EMAIL_INVALID", str(error))]) from None
    return found.normalized, found.normalized.casefold()


def email_key(text: str) -> str:
    """Return the form in which an address is looked up, however it is written."""
    try:
        return normalise_email(text.strip())[1]
    except Invalid:
        return text.strip().casefold()


def check_password(password: str) -> None:
    """Refuse a password that is too short or too long; there are no composition rules.

    Source: NIST SP 800-63B, 3.1.1.
    """
    if len(password) < PASSWORD_MIN:
        detail = f"the password needs at least {PASSWORD_MIN} characters"
        raise Invalid([FieldError("/password", "PASSWORD_TOO_SHORT", detail)])
    if len(password) > PASSWORD_MAX:
        detail = f"the password may have at most {PASSWORD_MAX} characters"
        raise Invalid([FieldError("/password", "PASSWORD_TOO_LONG", detail)])


def make_key(*, livemode: bool) -> tuple[str, KeyParts]:
    """Make an API key: `sk_{test|live}_{id}_{secret}{checksum}`."""
    identifier = "".join(secrets.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(10))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(32))
    body = f"sk_{'live' if livemode else 'test'}_{identifier}_{secret}"
    key = body + _checksum(body)
    return key, KeyParts(identifier, livemode, hash_secret(key))


def read_key(key: str) -> KeyParts | None:
    """Take a key apart; None when it cannot be one of ours, which needs no look-up."""
    found = _KEY.match(key)
    if found is None or not hmac.compare_digest(_checksum(key[:-6]), found.group(4)):
        return None
    return KeyParts(found.group(2), found.group(1) == "live", hash_secret(key))


def hash_secret(secret: str) -> str:
    """Hash a secret of high entropy: keys and refresh tokens, never passwords."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make_refresh_token() -> str:
    """Make a refresh token."""
    return f"rt_{secrets.token_urlsafe(32)}"


def check_scopes(scopes: list[str]) -> None:
    """Refuse what is no scope.

    Raises: Invalid.
    """
    errors = [
        FieldError(f"/scopes/{index}", "SCOPE_INVALID", "a scope is `*` or `<resource>:read|write`")
        for index, scope in enumerate(scopes)
        if not _SCOPE.match(scope)
    ]
    if errors:
        raise Invalid(errors)


def _checksum(body: str) -> str:
    number = crc32(body.encode())
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    for _ in range(6):
        number, rest = divmod(number, 36)
        text += digits[rest]
    return text
