"""The rules of payments: states of an intent, what may follow what, when to try again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

State = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "succeeded",
    "canceled",
]
STATES: Final[tuple[State, ...]] = (
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "succeeded",
    "canceled",
)
Step = Literal[
    "attach",
    "detach",
    "confirm",
    "authenticate",
    "succeed",
    "authorize",
    "require_action",
    "decline",
    "capture",
    "cancel",
]
_OPEN: Final[tuple[State, ...]] = (
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
)
# What each step leads to, by the state before it; what does not stand here is refused.
# Source: the life of a PaymentIntent, docs.stripe.com/payments/paymentintents/lifecycle.
TRANSITIONS: Final[Mapping[Step, Mapping[State, State]]] = {
    "attach": dict.fromkeys(_OPEN, "requires_confirmation"),
    "detach": dict.fromkeys(_OPEN, "requires_payment_method"),
    "confirm": dict.fromkeys(_OPEN, "processing"),
    "authenticate": {"requires_action": "processing"},
    "succeed": {"processing": "succeeded"},
    "authorize": {"processing": "requires_capture"},
    "require_action": {"processing": "requires_action"},
    "decline": {"processing": "requires_payment_method"},
    "capture": {"requires_capture": "succeeded"},
    "cancel": {**dict.fromkeys(_OPEN, "canceled"), "requires_capture": "canceled"},
}
TERMINAL: Final[tuple[State, ...]] = ("succeeded", "canceled")
CANCELLATION_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
REFUND_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")


class StepRefused(ValueError):
    """The state does not allow the step."""

    def __init__(self, state: str, step: Step) -> None:
        super().__init__(f"a payment intent in the state {state} cannot {step}")
        self.state = state


def after(state: str, step: Step) -> State:
    """Return the state after a step.

    Raises: StepRefused.
    """
    for before, then in TRANSITIONS[step].items():
        if before == state:
            return then
    raise StepRefused(state, step)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a processor refused: an error code, the bank's decline code, words for the payer."""

    code: str
    decline_code: str
    message: str

    def as_stripe(self) -> dict[str, str]:
        """Return what stands beside the code in an error object."""
        return {"decline_code": self.decline_code} if self.decline_code else {}


OutcomeState = Literal["succeeded", "authorized", "requires_action", "declined", "pending"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a processor answered; `pending` is an outcome that is not known yet."""

    state: OutcomeState
    reference: str = ""
    fee_minor: int = 0
    failure: Failure | None = None
    action_url: str = ""
    checks: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] = ()
    """What the processor will tell by and by, as its webhooks would: a dispute, a refund's end."""


@dataclass(frozen=True, slots=True)
class ProcessorEvent:
    """What a processor told of its own accord; `reference` is its name for the object."""

    id: str
    kind: str
    reference: str
    values: Mapping[str, Any] = field(default_factory=dict)


def fee_of(amount_minor: int, basis_points: int = 290, fixed_minor: int = 30) -> int:
    """Return what the simulated processor keeps: a share, half up, and a fixed part.

    Units: minor units; never more than the amount.
    """
    share = (amount_minor * basis_points + 5_000) // 10_000
    return min(amount_minor, share + fixed_minor)


@dataclass(frozen=True, slots=True)
class Next:
    """What follows a failed collection: another attempt at an instant, or nothing more."""

    at: datetime | None
    exhausted: bool


def after_failure(attempts: int, failed_at: datetime, schedule_days: Sequence[int]) -> Next:
    """Say what follows the n-th failed attempt to collect."""
    if attempts > len(schedule_days):
        return Next(None, exhausted=True)
    return Next(failed_at + timedelta(days=schedule_days[attempts - 1]), exhausted=False)
