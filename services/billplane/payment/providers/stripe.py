"""Stripe as the processor, by its official SDK."""

import json
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import stripe

from billplane.chassis.clock import Clock
from billplane.payment.domain import Failure, Outcome, ProcessorEvent
from billplane.payment.providers.base import (
    Authorization,
    Card,
    EventRefused,
    Followup,
    Method,
    MethodRefused,
    OutcomeUnknown,
)
from billplane.payment.providers.signatures import verify
from billplane.payment.settings import PaymentSettings

Answer = TypeVar("Answer")
_STATES: Mapping[str, Any] = {
    "succeeded": "succeeded",
    "requires_capture": "authorized",
    "requires_action": "requires_action",
    "processing": "pending",
}
_EVENTS = {
    "payment_intent.succeeded": "payment_succeeded",
    "payment_intent.amount_capturable_updated": "payment_authorized",
    "payment_intent.payment_failed": "payment_failed",
    "charge.dispute.created": "dispute_opened",
    "charge.dispute.closed": "dispute_closed",
}
_REFUND_EVENTS = ("refund.updated", "refund.failed", "charge.refund.updated")
_EXPAND = ["latest_charge.balance_transaction"]


class StripeProcessor:
    """Speaks to Stripe, or to whatever speaks its contract at the same address."""

    name = "stripe"

    def __init__(self, clock: Clock, settings: PaymentSettings) -> None:
        self._clock = clock
        self._secrets = settings.stripe_webhook_secret.split(",")
        self._http = stripe.AIOHTTPClient(timeout=settings.processor_timeout_seconds)
        self._client = stripe.StripeClient(
            settings.stripe_api_key or "sk_unset",
            base_addresses={"api": settings.stripe_api_base.rstrip("/")},
            http_client=self._http,
            max_network_retries=2,
        ).v1

    async def find_method(self, token: str) -> Method:
        """Return a payment method; a token is made one."""
        try:
            if token.startswith(("tok_", "pm_card_")):
                card = {"token": token.replace("pm_card_", "tok_")}
                asked: Any = {"type": "card", "card": card}
                found = await self._client.payment_methods.create_async(asked)
            else:
                found = await self._client.payment_methods.retrieve_async(token)
        except stripe.CardError as error:
            raise MethodRefused(_failure(error)) from None
        except stripe.InvalidRequestError as error:
            raise MethodRefused(_failure(error), unknown=True) from None
        except stripe.StripeError as error:
            raise OutcomeUnknown(str(error.user_message or "Stripe did not answer")) from None
        given: Any = found.card
        return Method(
            found.id,
            Card(
                given.brand,
                given.last4,
                given.exp_month,
                given.exp_year,
                given.funding,
                given.country or "",
                given.fingerprint or "",
            ),
        )

    async def authorize(self, request: Authorization) -> Outcome:
        """Create and confirm an intent at Stripe under the attempt's key."""
        if request.challenge and request.reference:
            return await self.recall(request)
        return await self._create(request)

    async def recall(self, request: Authorization) -> Outcome:
        """Look at the intent; one whose name never came back is asked for again by its key."""
        if not request.reference:
            return await self._create(request)
        asked: Any = {"expand": _EXPAND}
        return _outcome(
            await _known(self._client.payment_intents.retrieve_async(request.reference, asked))
        )

    async def _create(self, request: Authorization) -> Outcome:
        values: dict[str, Any] = {
            "amount": request.amount_minor,
            "currency": request.currency_code.lower(),
            "payment_method": request.method,
            "payment_method_types": ["card"],
            "confirm": True,
            "capture_method": "automatic" if request.capture else "manual",
            "off_session": request.off_session,
            "metadata": dict(request.metadata),
            "expand": _EXPAND,
        }
        if request.description:
            values["description"] = request.description
        if request.return_url:
            values["return_url"] = request.return_url
        asked: Any = values
        return await _decided(
            self._client.payment_intents.create_async(asked, {"idempotency_key": request.key})
        )

    async def capture(self, request: Followup) -> Outcome:
        """Capture an intent."""
        asked: Any = {"amount_to_capture": request.amount_minor, "expand": _EXPAND}
        return await _decided(
            self._client.payment_intents.capture_async(
                request.reference, asked, {"idempotency_key": request.key}
            )
        )

    async def cancel(self, request: Followup) -> Outcome:
        """Cancel an intent."""
        return await _decided(
            self._client.payment_intents.cancel_async(
                request.reference, {}, {"idempotency_key": request.key}
            ),
            canceled=True,
        )

    async def refund(self, request: Followup) -> Outcome:
        """Refund an intent."""
        values: dict[str, Any] = {
            "payment_intent": request.reference,
            "amount": request.amount_minor,
        }
        if request.reason:
            values["reason"] = request.reason
        asked: Any = values
        try:
            found = await _known(
                self._client.refunds.create_async(asked, {"idempotency_key": request.key})
            )
        except stripe.StripeError as error:
            return Outcome("declined", request.reference, failure=_failure(error))
        told: dict[str, Any] = found.to_dict()
        states: dict[str, Any] = {"succeeded": "succeeded", "failed": "declined"}
        failure = Failure("refund_failed", str(told.get("failure_reason") or "unknown"), "")
        state = states.get(str(told["status"]), "pending")
        return Outcome(state, found.id, failure=failure if state == "declined" else None)

    async def answer_dispute(self, reference: str, evidence: Mapping[str, str]) -> str:
        """Send evidence to the bank."""
        asked: Any = {"evidence": dict(evidence), "submit": True}
        return str((await _known(self._client.disputes.update_async(reference, asked))).status)

    async def close_dispute(self, reference: str) -> None:
        """Accept that a dispute is lost."""
        await _known(self._client.disputes.close_async(reference))

    def read_event(self, body: bytes, signature: str) -> ProcessorEvent:
        """Verify a webhook and say in our words what it tells."""
        verify(body, signature, self._secrets, self._clock.now())
        try:
            event = json.loads(body)
            return _event(str(event["id"]), str(event["type"]), event["data"]["object"])
        except (ValueError, KeyError, TypeError):
            raise EventRefused("the body is no event of Stripe's") from None

    async def close(self) -> None:
        """Close connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]


async def _known(asked: Awaitable[Answer]) -> Answer:
    """Return Stripe's answer.

    Raises: OutcomeUnknown when none came; StripeError for a refusal.
    """
    try:
        return await asked
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.IdempotencyError) as error:
        raise OutcomeUnknown(str(error)) from None
    except stripe.APIError as error:
        raise OutcomeUnknown(str(error)) from None


async def _decided(asked: Awaitable[Any], *, canceled: bool = False) -> Outcome:
    try:
        return _outcome(await _known(asked), canceled=canceled)
    except stripe.StripeError as error:
        known: Any = error.json_body or {}
        intent = known.get("error", {}).get("payment_intent") or {}
        return Outcome("declined", str(intent.get("id", "")), failure=_failure(error))


def _outcome(intent: Any, *, canceled: bool = False) -> Outcome:
    told: dict[str, Any] = intent.to_dict()
    status = str(told["status"])
    if canceled and status == "canceled":
        return Outcome("succeeded", told["id"])
    action = (told.get("next_action") or {}).get("redirect_to_url") or {}
    charge = told.get("latest_charge")
    transaction = charge.get("balance_transaction") if isinstance(charge, dict) else None
    fee = int(transaction.get("fee", 0)) if isinstance(transaction, dict) else 0
    error = told.get("last_payment_error") or {}
    if status in _STATES:
        return Outcome(_STATES[status], told["id"], fee, action_url=str(action.get("url") or ""))
    failure = Failure(
        str(error.get("code") or "card_declined"),
        str(error.get("decline_code") or ""),
        str(error.get("message") or "Your card was declined."),
    )
    return Outcome("declined", told["id"], failure=failure)


def _failure(error: stripe.StripeError) -> Failure:
    body: Any = error.json_body or {}
    told = body.get("error", {})
    return Failure(
        str(told.get("code") or error.code or "processing_error"),
        str(told.get("decline_code") or ""),
        str(error.user_message or "The processor refused the payment."),
    )


def _event(event_id: str, kind: str, told: Mapping[str, Any]) -> ProcessorEvent:
    reference = str(told["id"])
    if kind.startswith("charge.dispute"):
        owner = str(told["payment_intent"])
        values = {
            "owner_reference": owner,
            "dispute_reference": reference,
            "amount_minor": told["amount"],
            "fee_minor": 0,
            "reason": told["reason"],
            "status": told["status"],
            "outcome": "won" if told["status"] == "won" else "lost",
        }
        name = owner if kind.endswith("created") else reference
        return ProcessorEvent(event_id, _EVENTS.get(kind, kind), name, values)
    if kind in _REFUND_EVENTS:
        states = {"succeeded": "refund_succeeded", "failed": "refund_failed"}
        values = {"reason": told.get("failure_reason") or ""}
        return ProcessorEvent(event_id, states.get(str(told["status"]), kind), reference, values)
    error = told.get("last_payment_error") or {}
    values = {name: error.get(name) or "" for name in ("code", "decline_code", "message")}
    return ProcessorEvent(event_id, _EVENTS.get(kind, kind), reference, values)
