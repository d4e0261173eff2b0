"""What payment asks of a processor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from billplane.payment.domain import Failure, Outcome, ProcessorEvent


@dataclass(frozen=True, slots=True)
class Authorization:
    """An amount to authorize, and to capture at once unless `capture` is off.

    `key` is the same however often the request is repeated; `challenge` is what became of the
    payer's authentication: empty before it, then passed or failed.
    """

    key: str
    amount_minor: int
    currency_code: str
    method: str
    capture: bool
    off_session: bool
    started_at: datetime
    now: datetime
    tenant_id: str = ""
    challenge: str = ""
    challenge_url: str = ""
    return_url: str = ""
    reference: str = ""
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Followup:
    """Something to do about a payment that the processor knows by `reference`."""

    key: str
    reference: str
    amount_minor: int
    currency_code: str
    method: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """What may be known of a card."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    funding: str
    country: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method at the processor: its token there, and the card behind it."""

    token: str
    card: Card


class MethodRefused(Exception):
    """The processor does not know the card, or refuses it."""

    def __init__(self, failure: Failure, *, unknown: bool = False) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.unknown = unknown


class OutcomeUnknown(Exception):
    """Whether the processor did it is not known: it has to be asked again."""


class EventRefused(Exception):
    """The webhook is not the processor's."""


class Processor(Protocol):
    """Moves money. Every call with the same key has one effect and one answer."""

    name: str

    async def find_method(self, token: str) -> Method:
        """Return a payment method by the processor's token.

        Raises: MethodRefused, OutcomeUnknown.
        """
        ...

    async def authorize(self, request: Authorization) -> Outcome:
        """Authorize, and capture where asked.

        Raises: OutcomeUnknown.
        """
        ...

    async def recall(self, request: Authorization) -> Outcome:
        """Return what became of an authorization whose answer did not arrive.

        Raises: OutcomeUnknown while it cannot be said.
        """
        ...

    async def capture(self, request: Followup) -> Outcome:
        """Capture an authorized amount or less; the rest is given back.

        Raises: OutcomeUnknown.
        """
        ...

    async def cancel(self, request: Followup) -> Outcome:
        """Give an authorization back.

        Raises: OutcomeUnknown.
        """
        ...

    async def refund(self, request: Followup) -> Outcome:
        """Give money back; `pending` is told the end of by an event.

        Raises: OutcomeUnknown.
        """
        ...

    async def answer_dispute(self, reference: str, evidence: Mapping[str, str]) -> str:
        """Send evidence to the payer's bank; return the dispute's state then.

        Raises: OutcomeUnknown.
        """
        ...

    async def close_dispute(self, reference: str) -> None:
        """Accept that a dispute is lost.

        Raises: OutcomeUnknown.
        """
        ...

    def read_event(self, body: bytes, signature: str) -> ProcessorEvent:
        """Verify a webhook and read it.

        Raises: EventRefused.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
