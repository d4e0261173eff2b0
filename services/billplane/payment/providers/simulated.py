"""A processor that moves no money: what a test card does follows from the card alone.

The same request has the same answer, in whatever process and however often, so that nothing has
to be remembered: what became of a request is worked out again.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from billplane.chassis.clock import Clock
from billplane.payment.domain import Failure, Outcome, ProcessorEvent, fee_of
from billplane.payment.providers.base import (
    Authorization,
    EventRefused,
    Followup,
    Method,
    MethodRefused,
    OutcomeUnknown,
)
from billplane.payment.providers.cards import CARDS, TestCard, canonical, card_of, decline
from billplane.payment.providers.signatures import verify

_CHALLENGE_FAILED = Failure(
    "payment_intent_authentication_failure",
    "",
    "The provided PaymentMethod has failed authentication.",
)
_CHALLENGE_ERROR = Failure(
    "payment_intent_authentication_failure", "", "The authentication could not be processed."
)
DISPUTE_FEE_MINOR = 1500


class SimulatedProcessor:
    """Answers as the test card says."""

    name = "simulated"

    def __init__(self, clock: Clock, secret: str, delay_seconds: float) -> None:
        self._clock = clock
        self._secret = secret
        self._delay = timedelta(seconds=delay_seconds)

    async def find_method(self, token: str) -> Method:
        """Return the test card of a token."""
        name = canonical(token)
        if name is None:
            raise MethodRefused(
                Failure("resource_missing", "", f"No such PaymentMethod: '{token}'"), unknown=True
            )
        return Method(name, card_of(name, self._clock.now().year))

    async def authorize(self, request: Authorization) -> Outcome:
        """Answer at once, unless the card's answers get lost or come late."""
        card = CARDS[request.method]
        if card.outcome == "unknown":
            raise OutcomeUnknown("the connection broke before the answer came")
        return self._outcome(card, request)

    async def recall(self, request: Authorization) -> Outcome:
        """Say what became of it."""
        return self._outcome(CARDS[request.method], request)

    async def capture(self, request: Followup) -> Outcome:
        """Capture."""
        if CARDS[request.method].capture_fails:
            failure = Failure("capture_charge_authorization_expired", "", "The capture failed.")
            return Outcome("declined", failure=failure)
        return Outcome("succeeded", request.reference, fee_of(request.amount_minor))

    async def cancel(self, request: Followup) -> Outcome:
        """Give an authorization back."""
        return Outcome("succeeded", request.reference)

    async def refund(self, request: Followup) -> Outcome:
        """Give money back, at once or by and by."""
        reference = _reference("sim_re", request.key)
        how = CARDS[request.method].refund
        if how == "succeeded":
            return Outcome("succeeded", reference)
        kind = "refund_succeeded" if how.endswith("succeeded") else "refund_failed"
        later = {"id": f"{reference}_end", "kind": kind, "reference": reference}
        if kind == "refund_failed":
            later["reason"] = "expired_or_canceled_card"
        # Stripe's own failing refund succeeds at first; ours says nothing it has to take back.
        return Outcome("pending", reference, events=(later,))

    async def answer_dispute(self, reference: str, evidence: Mapping[str, str]) -> str:
        """Decide by the words that Stripe's test mode knows, else go on thinking."""
        del reference
        words = set(evidence.values())
        if "winning_evidence" in words:
            return "won"
        return "lost" if "losing_evidence" in words else "under_review"

    async def close_dispute(self, reference: str) -> None:
        """Accept; nothing has to be told to nobody's bank."""

    def read_event(self, body: bytes, signature: str) -> ProcessorEvent:
        """Read a webhook: {id, kind, reference, …}, signed as Stripe signs."""
        verify(body, signature, self._secret.split(","), self._clock.now())
        try:
            found = json.loads(body)
            values = {str(name): value for name, value in found.items()}
            return event_of(values)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise EventRefused("the body is no event of the simulated processor") from None

    async def close(self) -> None:
        """Nothing is open."""

    def _outcome(self, card: TestCard, request: Authorization) -> Outcome:
        reference = _reference("sim_pi", request.key)
        if card.outcome == "delayed" and request.now < request.started_at + self._delay:
            return Outcome("pending", reference)
        asked = self._asks(card, request)
        if asked and not request.challenge and request.off_session:
            return _declined(reference, decline("authentication_required"))
        if asked and not request.challenge:
            if card.challenge_error:
                return _declined(reference, _CHALLENGE_ERROR)
            return Outcome("requires_action", reference, action_url=request.challenge_url)
        if asked and request.challenge == "failed":
            return _declined(reference, _CHALLENGE_FAILED)
        if card.declines:
            return _declined(reference, decline(card.declines))
        fee = fee_of(request.amount_minor) if request.capture else 0
        return Outcome(
            "succeeded" if request.capture else "authorized",
            reference,
            fee,
            checks=dict(card.checks),
            events=_disputes(card, reference, request),
        )

    def _asks(self, card: TestCard, request: Authorization) -> bool:
        """Tell whether the card's payer has to authenticate this payment."""
        if card.challenge == "always":
            return True
        return card.challenge in ("unless_set_up", "on_session") and not request.off_session


def event_of(values: Mapping[str, Any]) -> ProcessorEvent:
    """Read an event from its fields.

    Raises: KeyError, TypeError.
    """
    rest = {name: value for name, value in values.items() if name not in ("id", "kind")}
    return ProcessorEvent(str(values["id"]), str(values["kind"]), str(values["reference"]), rest)


def _declined(reference: str, failure: Failure) -> Outcome:
    return Outcome("declined", reference, failure=failure)


def _disputes(card: TestCard, reference: str, request: Authorization) -> tuple[dict[str, Any], ...]:
    if not card.dispute:
        return ()
    inquiry = card.dispute == "inquiry"
    return (
        {
            "id": f"{reference}_dispute",
            "kind": "dispute_opened",
            "reference": reference,
            "dispute_reference": reference.replace("sim_pi", "sim_dp"),
            "amount_minor": request.amount_minor,
            "fee_minor": 0 if inquiry else DISPUTE_FEE_MINOR,
            "reason": "fraudulent" if inquiry else card.dispute,
            "status": "warning_needs_response" if inquiry else "needs_response",
        },
    )


def _reference(prefix: str, key: str) -> str:
    return f"{prefix}_{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"
