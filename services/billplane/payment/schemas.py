"""REST bodies of payment: Stripe's parameters, as far as they mean something here."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from billplane.chassis.card_numbers import contains_card_number
from billplane.chassis.stripe_dialect import Flag, Metadata, StripeBody, Text, WholeNumber
from billplane.payment.domain import CANCELLATION_REASONS, REFUND_REASONS
from billplane.payment.providers.cards import NUMBERS
from billplane.payment.service.intents import Confirmation, NewIntent
from billplane.payment.service.methods import NewMethod

AMOUNT_MAX = 999_999_999_999


def _positive(value: int) -> int:
    if value < 1:
        raise PydanticCustomError(
            "PARAMETER_INVALID_INTEGER",
            "This value must be greater than or equal to 1.",
            {},
        )
    if value > AMOUNT_MAX:
        raise PydanticCustomError(
            "AMOUNT_TOO_LARGE", "Amount must be no more than {most}.", {"most": AMOUNT_MAX}
        )
    return value


Amount = Annotated[WholeNumber, AfterValidator(_positive)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Url = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[a-zA-Z][a-zA-Z0-9+.-]*://.+")]
Descriptor = Annotated[str, StringConstraints(max_length=22)]


def _texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield path, str(name)
            yield from _texts(item, (*path, str(name)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, str(index)))
    elif isinstance(value, str):
        yield path, value


class SafeBody(StripeBody):
    """A body in which no card number may stand; a card's own field is looked at by the card."""

    @model_validator(mode="before")
    @classmethod
    def _no_card_numbers(cls, value: Any) -> Any:
        for path, text in _texts(value):
            if path[-2:] == ("card", "number"):
                continue
            if contains_card_number(text):
                raise PydanticCustomError(
                    "CARD_NUMBER_REFUSED",
                    "Card numbers must not be sent here; use a token of the processor.",
                    {},
                )
        return value


class CardBody(StripeBody):
    """A card: a token, or in tests the number of a well-known test card."""

    token: Id | None = None
    number: Annotated[str, StringConstraints(max_length=40)] | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        number = "".join((self.number or "").split()).replace("-", "")
        if self.number is not None and number not in NUMBERS:
            # Neither the number nor anything about it is kept.
            self.number = None
            raise PydanticCustomError(
                "CARD_NUMBER_REFUSED",
                "Sending card numbers is not allowed; only those of test cards are known.",
                {},
            )
        if self.number is not None:
            self.token, self.number = NUMBERS[number], None
        return self


class AddressBody(StripeBody):
    """A postal address."""

    line1: Text | None = None
    line2: Text | None = None
    city: Text | None = None
    state: Text | None = None
    postal_code: Text | None = None
    country: Annotated[str, StringConstraints(max_length=2)] | None = None


class BillingDetails(StripeBody):
    """Whose the method is."""

    name: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    address: AddressBody | None = None

    def given(self) -> dict[str, Any]:
        """Return what was said."""
        return self.model_dump(exclude_unset=True)


class MethodData(StripeBody):
    """A payment method to be made on the way."""

    type: Literal["card"] = "card"
    card: CardBody | None = None
    billing_details: BillingDetails | None = None
    metadata: Metadata | None = None

    def new_method(self) -> NewMethod:
        """Return what it makes."""
        return NewMethod(
            (self.card.token if self.card else None) or "",
            self.billing_details.given() if self.billing_details else {},
            dict(self.metadata or {}),
        )

    @model_validator(mode="after")
    def _has_card(self) -> Self:
        if self.card is None or not self.card.token:
            raise PydanticCustomError("FIELD_REQUIRED", "Missing required param: card.", {})
        return self


class MethodBody(SafeBody, MethodData):
    """A payment method to be."""


class MethodPatch(SafeBody):
    """What changes of a payment method."""

    billing_details: BillingDetails | None = None
    metadata: Metadata | None = None

    def changes(self) -> dict[str, Any]:
        """Return what changes."""
        found: dict[str, Any] = {}
        if "metadata" in self.model_fields_set:
            found["metadata"] = self.metadata
        if self.billing_details is not None:
            found["billing_details"] = self.billing_details.given()
        return found


class AttachBody(SafeBody):
    """Whose a payment method becomes."""

    customer: Id


class Confirming(SafeBody):
    """How an intent is confirmed."""

    payment_method: Id | None = None
    payment_method_data: MethodData | None = None
    off_session: Flag | Literal["one_off", "recurring"] | None = None
    return_url: Url | None = None
    error_on_requires_action: Flag | None = None

    def method(self) -> NewMethod | None:
        """Return the method that is named or described."""
        if self.payment_method_data is not None:
            return self.payment_method_data.new_method()
        return NewMethod(self.payment_method) if self.payment_method else None

    def confirmation(self, *, test_default: bool = False, known: bool = False) -> Confirmation:
        """Return the confirmation; `known` leaves the method to the intent."""
        return Confirmation(
            method=None if known else self.method(),
            off_session=bool(self.off_session),
            return_url=self.return_url or "",
            error_on_requires_action=bool(self.error_on_requires_action),
            test_default=test_default,
        )


_DETAILS = (
    *("description", "receipt_email", "setup_future_usage", "statement_descriptor"),
    *("statement_descriptor_suffix", "shipping", "automatic_payment_methods"),
)


class AutomaticMethods(StripeBody):
    """Whether the payer chooses among the methods that are there: cards."""

    enabled: Flag
    allow_redirects: Literal["always", "never"] = "always"


class IntentWords(Confirming):
    """What may be said of an intent, when it is made and later."""

    description: Text | None = None
    receipt_email: Text | None = None
    setup_future_usage: Literal["on_session", "off_session"] | None = None
    statement_descriptor: Descriptor | None = None
    statement_descriptor_suffix: Descriptor | None = None
    shipping: dict[str, Any] | None = None
    automatic_payment_methods: AutomaticMethods | None = None
    metadata: Metadata | None = None

    def details(self) -> dict[str, Any]:
        """Return what was said."""
        given = self.model_dump(exclude_unset=True)
        return {name: given[name] for name in _DETAILS if name in given}


class IntentBody(IntentWords):
    """A payment intent to be."""

    amount: Amount
    currency: Annotated[str, StringConstraints(min_length=3, max_length=3)]
    customer: Id | None = None
    capture_method: Literal["automatic", "automatic_async", "manual"] | None = None
    confirm: Flag | None = None
    payment_method_types: Annotated[list[str], Field(max_length=20)] | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.payment_method_types and "card" not in self.payment_method_types:
            raise PydanticCustomError(
                "PARAMETER_INVALID", "payment_method_types must include card.", {}
            )
        if not self.confirm and (self.off_session or self.error_on_requires_action):
            raise PydanticCustomError(
                "PARAMETER_INVALID",
                "off_session and error_on_requires_action need confirm=true.",
                {},
            )
        return self

    def new_intent(self, *, test_default: bool = False) -> NewIntent:
        """Return what it makes."""
        return NewIntent(
            amount_minor=self.amount,
            currency_code=self.currency,
            customer=self.customer or "",
            method=self.method(),
            capture_method=self.capture_method or "automatic",
            details=self.details(),
            metadata=dict(self.metadata or {}),
            confirmation=self.confirmation(test_default=test_default, known=True)
            if self.confirm
            else None,
        )


class IntentPatch(IntentWords):
    """What changes of an intent."""

    amount: Amount | None = None
    currency: Annotated[str, StringConstraints(min_length=3, max_length=3)] | None = None
    customer: Id | None = None

    def changes(self) -> dict[str, Any]:
        """Return what changes, apart from the method."""
        found: dict[str, Any] = {}
        if self.amount is not None:
            found["amount_minor"] = self.amount
        if self.currency is not None:
            found["currency"] = self.currency
        if self.customer is not None:
            found["customer"] = self.customer
        if "metadata" in self.model_fields_set:
            found["metadata"] = self.metadata
        details = self.details()
        return {**found, "details": details} if details else found


class CaptureBody(SafeBody):
    """How much is captured; all of it by default."""

    amount_to_capture: Amount | None = None
    metadata: Metadata | None = None


class CancelBody(SafeBody):
    """Why an intent is given up."""

    cancellation_reason: Literal[CANCELLATION_REASONS] | None = None  # type: ignore[valid-type]


class RefundBody(SafeBody):
    """A refund to be: of an intent or of a charge."""

    payment_intent: Id | None = None
    charge: Id | None = None
    amount: Amount | None = None
    reason: Literal[REFUND_REASONS] | None = None  # type: ignore[valid-type]
    metadata: Metadata | None = None


class MetadataPatch(SafeBody):
    """New metadata."""

    metadata: Metadata | None = None

    def changes(self) -> dict[str, Any]:
        """Return what changes."""
        if "metadata" not in self.model_fields_set:
            return {}
        return {"metadata": self.metadata}


class DisputePatch(MetadataPatch):
    """Evidence for a dispute; sent to the bank unless `submit` is false."""

    evidence: (
        Annotated[
            dict[
                Annotated[str, StringConstraints(max_length=60)],
                Annotated[str, StringConstraints(max_length=20_000)],
            ],
            Field(max_length=30),
        ]
        | None
    ) = None
    submit: Flag | None = None


class InvoiceSettings(StripeBody):
    """By what a customer's invoices are collected."""

    default_payment_method: Id | None = None


class CustomerBody(SafeBody):
    """A customer to be, or what changes of one."""

    name: Annotated[str, StringConstraints(max_length=255)] | None = None
    email: Annotated[str, StringConstraints(max_length=255)] | None = None
    phone: Annotated[str, StringConstraints(max_length=50)] | None = None
    description: Text | None = None
    address: AddressBody | None = None
    shipping: dict[str, Any] | None = None
    metadata: Metadata | None = None
    payment_method: Id | None = None
    invoice_settings: InvoiceSettings | None = None
    test_clock: Id | None = None

    def words(self) -> dict[str, Any]:
        """Return what only payment keeps."""
        names = {"phone", "description", "shipping"} & self.model_fields_set
        return {name: getattr(self, name) for name in sorted(names)}
