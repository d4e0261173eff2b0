"""The well-known test cards, and what each of them does.

Source: docs.stripe.com/testing.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from billplane.payment.domain import Failure
from billplane.payment.providers.base import Card

DECLINED: Final = "Your card was declined."
MESSAGES: Final = {
    "authentication_required": "Your card was declined. This transaction requires authentication.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "incorrect_number": "Your card number is incorrect.",
    "incorrect_zip": "Your card's postal code is incorrect.",
    "insufficient_funds": "Your card has insufficient funds.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "card_velocity_exceeded": (
        "Your card was declined for making repeated attempts too frequently or exceeding its"
        " amount limit."
    ),
}
# Decline codes that are error codes of their own; all others come with `card_declined`.
OWN_CODES: Final = frozenset(
    {"expired_card", "incorrect_cvc", "incorrect_number", "incorrect_zip", "processing_error"}
)
DECLINE_CODES: Final = (
    "approve_with_id", "call_issuer", "card_not_supported", "card_velocity_exceeded",
    "currency_not_supported", "do_not_honor", "do_not_try_again", "duplicate_transaction",
    "expired_card", "fraudulent", "generic_decline", "incorrect_cvc", "incorrect_number",
    "incorrect_pin", "incorrect_zip", "insufficient_funds", "invalid_account", "invalid_amount",
    "invalid_cvc", "invalid_expiry_month", "invalid_expiry_year", "invalid_number", "invalid_pin",
    "issuer_not_available", "lost_card", "merchant_blacklist",
    "new_account_information_available", "no_action_taken", "not_permitted",
    "offline_pin_required", "online_or_offline_pin_required", "pickup_card",
    "pin_try_exceeded", "processing_error", "reenter_transaction", "restricted_card",
    "revocation_of_all_authorizations", "revocation_of_authorization", "security_violation",
    "service_not_allowed", "stolen_card", "stop_payment_order", "testmode_decline",
    "transaction_not_allowed", "try_again_later", "withdrawal_count_limit_exceeded",
)  # fmt: skip


def decline(decline_code: str) -> Failure:
    """Return the failure of a decline code."""
    code = decline_code if decline_code in OWN_CODES else "card_declined"
    message = MESSAGES.get(decline_code, DECLINED)
    return Failure(code, "" if code == "processing_error" else decline_code, message)


@dataclass(frozen=True, slots=True)
class TestCard:
    """A card of the simulated processor.

    `challenge` says when its payer is asked: always, off_session (asked again although it was set
    up), optional (could be asked, is not) or never. `outcome` says how the processor answers:
    at once, delayed (known later) or unknown (done, but the answer is lost).
    """

    token: str
    number: str = ""
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    declines: str = ""
    attach_declines: str = ""
    challenge: str = "never"
    challenge_error: bool = False
    dispute: str = ""
    refund: str = "succeeded"
    outcome: str = "at_once"
    capture_fails: bool = False
    checks: tuple[tuple[str, str], ...] = ()

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self.number[-4:] or "4242"


def _checks(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple(values.items())


_PAYING = (
    TestCard("visa", "4242424242424242"),
    TestCard("visa_debit", "4000056655665556", funding="debit"),
    TestCard("mastercard", "5555555555554444", "mastercard"),
    TestCard("mastercard_2series", "2223003122003222", "mastercard"),
    TestCard("mastercard_debit", "5200828282828210", "mastercard", "debit"),
    TestCard("mastercard_prepaid", "5105105105105100", "mastercard", "prepaid"),
    TestCard("amex", "378282246310005", "amex"),
    TestCard("amex_corporate", "371449635398431", "amex"),
    TestCard("discover", "6011111111111117", "discover"),
    TestCard("discover_second", "6011000990139424", "discover"),
    TestCard("discover_debit", "6011981111111113", "discover", "debit"),
    TestCard("diners", "3056930009020004", "diners"),
    TestCard("diners_14digits", "36227206271667", "diners"),
    TestCard("jcb", "3566002020360505", "jcb", country="JP"),
    TestCard("unionpay", "6200000000000005", "unionpay", country="CN"),
    TestCard("unionpay_debit", "6200000000000047", "unionpay", "debit", "CN"),
    TestCard("unionpay_19digits", "6205500000000000004", "unionpay", country="CN"),
    TestCard("us", "4242424242424242"),
    TestCard("gb", "4000008260000000", country="GB"),
    TestCard("de", "4000002760000016", country="DE"),
    TestCard("fr", "4000002500000003", country="FR"),
    TestCard("at", "4000000400000008", country="AT"),
    TestCard("nl", "4000005280000002", country="NL"),
    TestCard("se", "4000007520000008", country="SE"),
    TestCard("ch", "4000007560000009", country="CH"),
    TestCard("jp", "4000003920000003", country="JP"),
    TestCard("br", "4000000760000002", country="BR"),
    TestCard("ca", "4000001240000000", country="CA"),
    TestCard("mx", "4000004840008001", country="MX"),
    TestCard("in", "4000003560000008", country="IN"),
    TestCard("au", "4000000360000006", country="AU"),
    TestCard("bypassPending", "4000000000000077"),
    TestCard("bypassPendingInternational", "4000003720000278", country="IE"),
    TestCard("avsFail", "4000000000000010",
             checks=_checks(address_line1_check="fail", address_postal_code_check="fail")),
    TestCard("avsLine1Fail", "4000000000000028", checks=_checks(address_line1_check="fail")),
    TestCard("avsZipFail", "4000000000000036", checks=_checks(address_postal_code_check="fail")),
    TestCard("avsUnchecked", "4000000000000044",
             checks=_checks(address_line1_check="unavailable",
                            address_postal_code_check="unavailable")),
    TestCard("cvcCheckFail", "4000000000000101", checks=_checks(cvc_check="fail")),
    TestCard("riskLevelElevated", "4000000000009235"),
    TestCard("riskLevelHighest", "4000000000004954", declines="fraudulent"),
)  # fmt: skip
_DECLINING = (
    TestCard("visa_chargeDeclined", "4000000000000002", declines="generic_decline"),
    TestCard("visa_chargeDeclinedInsufficientFunds", "4000000000009995",
             declines="insufficient_funds"),
    TestCard("visa_chargeDeclinedLostCard", "4000000000009987", declines="lost_card"),
    TestCard("visa_chargeDeclinedStolenCard", "4000000000009979", declines="stolen_card"),
    TestCard("chargeDeclinedExpiredCard", "4000000000000069", declines="expired_card"),
    TestCard("chargeDeclinedIncorrectCvc", "4000000000000127", declines="incorrect_cvc"),
    TestCard("chargeDeclinedProcessingError", "4000000000000119", declines="processing_error"),
    TestCard("chargeDeclinedIncorrectNumber", "4242424242424241", declines="incorrect_number"),
    TestCard("visa_chargeDeclinedVelocityLimitExceeded", "4000000000006975",
             declines="card_velocity_exceeded"),
    TestCard("visa_chargeDeclinedFraudulent", "4100000000000019", declines="fraudulent"),
    TestCard("radarBlock", "4100000000000019", declines="fraudulent"),
    TestCard("chargeCustomerFail", "4000000000000341", declines="generic_decline"),
)  # fmt: skip
_ASKING = (
    TestCard("authenticationRequiredOnSetup", "4000002500003155", challenge="unless_set_up"),
    TestCard("authenticationRequired", "4000002760003184", challenge="always"),
    TestCard("authenticationRequiredSetupForOffSession", "4000003800000446",
             challenge="on_session"),
    TestCard("authenticationRequiredChargeDeclinedInsufficientFunds", "4000008260003178",
             challenge="on_session", declines="insufficient_funds"),
    TestCard("threeDSecure2Required", "4000000000003220", challenge="always"),
    TestCard("threeDSecureRequired", "4000000000003063", challenge="always"),
    TestCard("threeDSecureRequiredChargeDeclined", "4000008400001629",
             challenge="always", declines="generic_decline"),
    TestCard("threeDSecureRequiredProcessingError", "4000008400001280",
             challenge="always", challenge_error=True),
    TestCard("threeDSecureOptional", "4000000000003055", challenge="optional"),
    TestCard("threeDSecureOptionalProcessingError", "4000000000003097", challenge="optional"),
    TestCard("amex_threeDSecureNotSupported", "378282246310005", "amex"),
)  # fmt: skip
_LATER = (
    TestCard("createDispute", "4000000000000259", dispute="fraudulent"),
    TestCard("createDisputeProductNotReceived", "4000000000002685",
             dispute="product_not_received"),
    TestCard("createDisputeInquiry", "4000000000001976", dispute="inquiry"),
    TestCard("createIssuerFraudRecord", "4000000000005423"),
    TestCard("createMultipleDisputes", "4000000404000079", dispute="fraudulent"),
    TestCard("pendingRefund", "4000000000007726", refund="pending_then_succeeded"),
    TestCard("refundFail", "4000000000005126", refund="pending_then_failed"),
)  # fmt: skip
# Stripe has no cards for these; what a processor may do to us needs trying all the same.
_OURS = (
    TestCard("delayed", outcome="delayed"),
    TestCard("delayedDeclined", outcome="delayed", declines="generic_decline"),
    TestCard("unknownOutcome", outcome="unknown"),
    TestCard("unknownOutcomeDeclined", outcome="unknown", declines="generic_decline"),
    TestCard("captureFail", capture_fails=True),
)


def _camel(code: str) -> str:
    return "".join(part.capitalize() for part in code.split("_"))


_FURTHER = tuple(
    TestCard(f"visa_chargeDeclined{_camel(code)}", declines=code) for code in DECLINE_CODES
)
_ALL = (*_FURTHER, *_PAYING, *_DECLINING, *_ASKING, *_LATER, *_OURS)
CARDS: Final = {f"pm_card_{card.token}": card for card in _ALL}
# The first card of a number is the one that the number means.
NUMBERS: Final = {
    card.number: f"pm_card_{card.token}" for card in reversed(_ALL) if card.number
} | {"4242424242424242": "pm_card_visa"}
_TOKEN = re.compile(r"(?:tok|pm_card)_([A-Za-z0-9_]+)\Z")


def canonical(token: str) -> str | None:
    """Return the `pm_card_…` that a token means: `tok_visa` is `pm_card_visa`."""
    match = _TOKEN.match(token)
    name = f"pm_card_{match[1]}" if match else ""
    return name if name in CARDS else None


def card_of(token: str, year: int) -> Card:
    """Return what may be known of a test card, which expires in some years."""
    card = CARDS[token]
    # Of the number, as at Stripe: two tokens of one card have the same fingerprint.
    print_ = hashlib.blake2b((card.number or token).encode(), digest_size=8).hexdigest()
    return Card(card.brand, card.last4, 12, year + 3, card.funding, card.country, print_)
