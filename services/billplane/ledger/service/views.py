"""How transactions are told: those just written from what was asked, others from what is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billplane.ledger.domain import Balance, Posting
from billplane.ledger.models import AccountRow
from billplane.ledger.repository import Outcome, Stored, Transfer

_PHASES = {"hold": "pending", "release": "released", "expire": "released"}
_STATES = {"release": "voided", "expire": "expired"}


@dataclass(frozen=True, slots=True)
class View:
    """A transaction as it is told."""

    id: str
    kind: str
    state: str
    currency_code: str
    postings: Sequence[Posting]
    external_id: str
    description: str
    metadata: dict[str, str]
    parent_id: str
    rate_id: str
    recorded_at: datetime
    expires_at: datetime | None = None
    posted_at: datetime | None = None
    committed_minor: int = 0
    remaining_minor: int = 0


def view_of_new(transfer: Transfer, outcome: Outcome) -> View:
    """Return a transaction that was just written."""
    pending = transfer.kind == "hold"
    return View(
        id=transfer.id,
        kind=transfer.kind,
        state="pending" if pending else "posted",
        currency_code=transfer.currency_code,
        postings=transfer.postings,
        external_id=transfer.external_id,
        description=transfer.description,
        metadata=dict(transfer.metadata or {}),
        parent_id=transfer.parent_id,
        rate_id=transfer.rate_id,
        recorded_at=outcome.recorded_at,
        expires_at=transfer.expires_at,
        posted_at=None if pending else outcome.recorded_at,
        remaining_minor=transfer.amount_minor if pending else 0,
    )


def view_of_closing(hold: Stored, transfer: Transfer, outcome: Outcome) -> View:
    """Return what was just written to post a hold, or to give it back."""
    postings = transfer.postings
    if hold.hold is not None and hold.hold.divisible:
        postings = [leg._replace(amount_minor=outcome.taken_minor) for leg in postings]
    state = _STATES.get(transfer.kind, "posted")
    return replace(
        view_of_new(transfer, outcome),
        state=state,
        postings=postings,
        posted_at=outcome.recorded_at if state == "posted" else None,
    )


def view_of_hold_after(hold: Stored, transfer: Transfer, outcome: Outcome) -> View:
    """Return a hold as it stands after what was just written."""
    state = "pending" if outcome.remaining_minor else _STATES.get(transfer.kind, "posted")
    return replace(
        view_of(hold),
        state=state,
        posted_at=outcome.recorded_at if state == "posted" else None,
        committed_minor=outcome.committed_minor,
        remaining_minor=outcome.remaining_minor,
    )


def balances_after(transfer: Transfer, outcome: Outcome) -> list[Balance]:
    """Return each account's balances, once."""
    found: dict[str, Balance] = {}
    for place, posting in enumerate(transfer.postings):
        posted, coming, going, count = outcome.after[place]
        found[posting.account] = Balance(
            posting.account, posting.currency_code, posted, coming, going, count
        )
    return list(found.values())


def postings_of(found: Stored, phase: str) -> list[Posting]:
    """Return a stored transaction's legs of one phase."""
    return [
        Posting(
            entry.account_id,
            "debit" if entry.direction == "debit" else "credit",
            entry.amount_minor,
            entry.currency_code,
        )
        for entry in found.entries
        if entry.phase == phase
    ]


def view_of(found: Stored) -> View:
    """Return a stored transaction as it is told."""
    row, hold = found.row, found.hold
    state = hold.state if hold is not None else _STATES.get(row.kind, "posted")
    at = hold.closed_at if hold is not None else row.recorded_at
    return View(
        id=row.id,
        kind=row.kind,
        state=state,
        currency_code=row.currency_code,
        postings=postings_of(found, _PHASES.get(row.kind, "posted")),
        external_id=row.external_id,
        description=row.description,
        metadata=row.tags,
        parent_id=row.parent_id,
        rate_id=row.rate_id,
        recorded_at=row.recorded_at,
        expires_at=row.expires_at,
        posted_at=at if state == "posted" else None,
        committed_minor=hold.committed_minor if hold is not None else 0,
        remaining_minor=hold.remaining_minor if hold is not None else 0,
    )


def balance_of(row: AccountRow) -> Balance:
    """Return the balances of a row."""
    return Balance(
        row.id,
        row.currency_code,
        row.posted_minor,
        row.pending_in_minor,
        row.pending_out_minor,
        row.entry_count,
    )
