"""Answers of REST about transactions, as the very bytes that are kept under a request's key."""

from collections.abc import Sequence
from typing import Any

import msgspec

from billplane.chassis.idempotency import StoredAnswer
from billplane.ledger.domain import Balance
from billplane.ledger.service.transactions import Recorded
from billplane.ledger.service.views import View

_JSON = "application/json"
_encode = msgspec.json.Encoder().encode


def created(recorded: Recorded) -> tuple[StoredAnswer, StoredAnswer]:
    """Tell of a transaction that was recorded."""
    headers = {
        "content-type": _JSON,
        "location": f"/v1/ledger/transactions/{recorded.transaction.id}",
    }
    answer = StoredAnswer(201, headers, _body(recorded.transaction, recorded.balances))
    return answer, answer


def changed(recorded: Recorded) -> tuple[StoredAnswer, StoredAnswer]:
    """Tell of a hold that was changed."""
    shown = recorded.hold or recorded.transaction
    answer = StoredAnswer(200, {"content-type": _JSON}, _body(shown, recorded.balances))
    return answer, answer


def _body(view: View, balances: Sequence[Balance]) -> bytes:
    return _encode(transaction_values(view) | {"balances": [balance_values(b) for b in balances]})


def transaction_values(view: View) -> dict[str, Any]:
    """Return the fields of a transaction."""
    return {
        "id": view.id,
        "kind": view.kind,
        "state": view.state,
        "currency_code": view.currency_code,
        "postings": [
            {
                "account_id": leg.account,
                "direction": leg.direction,
                "amount_minor": leg.amount_minor,
                "currency_code": leg.currency_code,
            }
            for leg in view.postings
        ],
        "external_id": view.external_id or None,
        "description": view.description,
        "metadata": view.metadata,
        "parent_id": view.parent_id or None,
        "rate_id": view.rate_id,
        "recorded_at": view.recorded_at,
        "posted_at": view.posted_at,
        "expires_at": view.expires_at,
        "committed_minor": view.committed_minor,
        "remaining_minor": view.remaining_minor,
        "balances": None,
    }


def balance_values(balance: Balance) -> dict[str, Any]:
    """Return the fields of an account's balances."""
    return {
        "account_id": balance.account_id,
        "currency": balance.currency_code,
        "balance_minor": balance.balance_minor,
        "pending_minor": balance.pending_minor,
        "pending_in_minor": balance.pending_in_minor,
        "pending_out_minor": balance.pending_out_minor,
        "available_minor": balance.available_minor,
        "entry_count": balance.entry_count,
    }
