"""Values that are stored unreadable: sealed with a key that no database holds.

AES-256-GCM; the key comes of the installation's one secret and of the purpose, so that what was
sealed for one purpose opens for no other. Beside the value goes what it belongs to: a sealed value
that was moved to another row, or to another tenant's, does not open there.

Source: NIST SP 800-38D; RFC 5869.
"""

import hashlib
import hmac
import json
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from billplane.chassis.errors import BillplaneError, Kind

_FORM: Final = b"\x01"
_NAME_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_FORM) + _NAME_BYTES + _NONCE_BYTES


class SealBroken(BillplaneError):
    """A sealed value that does not open: another key, another place, or it was changed."""

    kind = Kind.INTERNAL
    reason = "SEAL_BROKEN"


class Sealer:
    """Seals and opens values of one purpose.

    The first seed seals; every one opens, so that what an earlier seed sealed can be read while
    it is sealed anew.
    """

    def __init__(self, purpose: str, seed: bytes, *earlier: bytes) -> None:
        keys = [_derived(each, f"billplane/sealing/1/{purpose}") for each in (seed, *earlier)]
        self._name = _name(keys[0])
        self._keys = {_name(key): AESGCM(key) for key in keys}

    def seal(self, value: bytes, *place: str) -> bytes:
        """Return a value sealed for one place, as a table, a tenant and an id name it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _FORM + self._name + nonce
        return head + self._keys[self._name].encrypt(nonce, value, _bound(head, place))

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Return the value that was sealed for this place.

        Raises: SealBroken, which tells nothing of the value.
        """
        head = sealed[:_HEAD_BYTES]
        name = head[len(_FORM) : len(_FORM) + _NAME_BYTES]
        if len(head) < _HEAD_BYTES or not head.startswith(_FORM) or name not in self._keys:
            raise SealBroken("the value was sealed with another key")
        nonce = head[-_NONCE_BYTES:]
        try:
            return self._keys[name].decrypt(nonce, sealed[_HEAD_BYTES:], _bound(head, place))
        except InvalidTag:
            raise SealBroken("the sealed value was changed or belongs elsewhere") from None


def keyed_digest(seed: bytes, value: bytes, *place: str) -> str:
    """Name a value at a place so that only who has the seed can tell which value it is."""
    key = _derived(seed, "billplane/digest/1")
    return hmac.new(key, _bound(b"", place) + value, hashlib.sha256).hexdigest()


def _derived(seed: bytes, info: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, None, info.encode()).derive(seed)


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"billplane/sealing/name" + key).digest()[:_NAME_BYTES]


def _bound(head: bytes, place: tuple[str, ...]) -> bytes:
    """Return what a value is bound to; no two places are written alike."""
    written = json.dumps(place).encode()
    return head + len(written).to_bytes(4, "big") + written
