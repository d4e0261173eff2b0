"""A key, an answer: the same request twice has one effect and one answer."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis.auth import internal_seed
from billplane.chassis.database.tables import IdempotencyRow
from billplane.chassis.database.transaction import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, IdempotencyKeyInUse, IdempotencyKeyReused, Invalid
from billplane.chassis.sealing import Sealer

# Beside an answer's headers: its body shows a secret, and is kept sealed.
SEALED = "billplane-sealed"
# In place of a status: a request of several steps has taken the first and is not answered yet.
_BEGUN = 0


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer that was given the first time."""

    status: int
    headers: dict[str, str]
    body: bytes


class Replay(Exception):
    """The request was answered before; carries that answer."""

    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__("replayed")
        self.answer = answer


def check_key(key: str, field: str = "/headers/Idempotency-Key") -> str:
    """Return the key when it is 1 to 255 visible ASCII characters.

    Raises: Invalid.
    """
    if not 1 <= len(key) <= 255 or not all(33 <= ord(character) <= 126 for character in key):
        raise Invalid(
            [
                FieldError(
                    field,
                    "IDEMPOTENCY_KEY_INVALID",
                    "an idempotency key must be 1 to 255 visible ASCII characters",
                )
            ]
        )
    return key


def fingerprint(method: str, path: str, body: bytes) -> str:
    """Hash what the request asks for."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).hexdigest()


def _lock(tx: Transaction, key: str) -> int:
    text_ = "\0".join((tx.runtime.name, tx.tenant_id, str(tx.livemode), key))
    return int.from_bytes(hashlib.blake2b(text_.encode(), digest_size=8).digest(), signed=True)


async def _take(tx: Transaction, key: str) -> bool:
    """Lock the key for this transaction; false when another has it."""
    query = text("SELECT pg_try_advisory_xact_lock(:lock)")
    return bool(await tx.session.scalar(query, {"lock": _lock(tx, key)}))


async def claim(tx: Transaction, key: str, print_: str) -> StoredAnswer | None:
    """Take the key for this transaction, or return the answer it already has.

    Raises: IdempotencyKeyInUse while the first request runs; IdempotencyKeyReused when the key
    belongs to another request.
    """
    if not await _take(tx, key):
        raise IdempotencyKeyInUse(
            "the first request with this key still runs", retry_after_seconds=1
        )
    return await find(tx, key, print_)


async def find(tx: ReadTransaction, key: str, print_: str) -> StoredAnswer | None:
    """Return the answer that the key already has.

    Raises: IdempotencyKeyReused when the key belongs to another request.
    """
    row = await tx.session.get(IdempotencyRow, (tx.tenant_id, tx.livemode, key))
    if row is None:
        return None
    if row.fingerprint != print_:
        raise IdempotencyKeyReused("this key was used for another request")
    if row.status == _BEGUN:
        return None
    headers, body = dict(row.headers), row.body
    if headers.pop(SEALED, ""):
        body = _sealer(tx).open(body, *_place(tx, key))
    return StoredAnswer(row.status, headers, body)


async def begin(tx: Transaction, key: str, print_: str) -> bool:
    """Note, with the first step's effect, that the request has begun; false when it had before.

    From then on nobody else's refusal becomes the key's answer.

    Raises: Replay when the request was answered before; IdempotencyKeyReused.
    """
    begun = await tx.session.scalar(
        insert(IdempotencyRow)
        .values(_row(tx, key, print_, _BEGUN, {}, b""))
        .on_conflict_do_nothing()
        .returning(IdempotencyRow.key)
    )
    if begun is not None:
        return True
    answer = await find(tx, key, print_)
    if answer is not None:
        raise Replay(answer)
    return False


async def fingerprints(tx: ReadTransaction, keys: Collection[str]) -> dict[str, tuple[str, bool]]:
    """Return of keys that requests have used which requests these are, and who has its answer."""
    if not keys:
        return {}
    row = IdempotencyRow
    query = select(row.key, row.fingerprint, row.status).where(
        row.livemode == tx.livemode, row.key.in_(keys)
    )
    return {item[0]: (item[1], item[2] != _BEGUN) for item in await tx.session.execute(query)}


async def begin_all(tx: Transaction, prints: Mapping[str, str]) -> None:
    """Note, with their first steps' effects, that requests have begun, by key."""
    if prints:
        rows = [_row(tx, key, prints[key], _BEGUN, {}, b"") for key in sorted(prints)]
        await tx.session.execute(insert(IdempotencyRow).on_conflict_do_nothing(), rows)


async def store_refusal(
    tx: Transaction, key: str, print_: str, answer: StoredAnswer, *, begun: bool
) -> None:
    """Keep a refusal as the key's answer, unless the same request has an effect elsewhere.

    `begun`: it is this request that has taken the first step.
    """
    if not await _take(tx, key):
        return
    if begun:
        await store(tx, key, print_, answer.status, answer.headers, answer.body)
        return
    row = _row(tx, key, print_, answer.status, dict(answer.headers), answer.body)
    await tx.session.execute(insert(IdempotencyRow).values(row).on_conflict_do_nothing())


async def store(
    tx: Transaction,
    key: str,
    print_: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
) -> None:
    """Keep the answer whole; the last statement of the effect's transaction.

    However long it is: a key whose answer was not kept would let the effect happen again.
    """
    told = dict(headers)
    if tx.answers_secret:
        told[SEALED] = "1"
        body = _sealer(tx).seal(body, *_place(tx, key))
    new = insert(IdempotencyRow).values(_row(tx, key, print_, status, told, body))
    await tx.session.execute(
        new.on_conflict_do_update(
            index_elements=["tenant_id", "livemode", "key"],
            set_={name: new.excluded[name] for name in ("status", "headers", "body")},
            where=IdempotencyRow.status == _BEGUN,
        )
    )


def _row(
    tx: Transaction, key: str, print_: str, status: int, headers: dict[str, str], body: bytes
) -> dict[str, Any]:
    return {
        "tenant_id": tx.tenant_id,
        "livemode": tx.livemode,
        "key": key,
        "fingerprint": print_,
        "status": status,
        "headers": headers,
        "body": body,
        "created_at": tx.now,
    }


def _sealer(tx: ReadTransaction) -> Sealer:
    return Sealer("idempotency", internal_seed(tx.runtime.settings))


def _place(tx: ReadTransaction, key: str) -> tuple[str, ...]:
    return tx.runtime.name, tx.tenant_id, str(tx.livemode), key
