"""The chart of accounts of a billing business: which accounts there are, and what each is for.

An account of the chart is named by external_id, `receivables:EUR`, and opened when a posting first
names it; what a posting names otherwise must have been opened before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billplane.chassis.errors import FieldError, Invalid
from billplane.money import UnknownCurrency, parse_currency

PART_LENGTH_MAX = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the chart.

    `parts` are what its names say between the line's own name and the currency: the processor, the
    jurisdiction. `opened` is False for accounts that somebody opens with a name of the line.
    """

    name: str
    type: str
    title: str
    meaning: str
    parts: Sequence[str] = ()
    opened: bool = True

    @property
    def pattern(self) -> str:
        """How its names are made: `cash:<processor>:<CUR>`."""
        parts = [f"<{part}>" for part in self.parts] + (["<CUR>"] if self.opened else [])
        return ":".join([self.name, *parts])


_ENTRIES = (
    Entry(
        "receivables", "asset", "Receivables",
        "what customers owe by finalized invoices, tax included",
    ),
    Entry(
        "cash", "asset", "Cash",
        "money at a payment processor, or `manual` for what was paid past the platform",
        ("processor",),
    ),
    Entry("revenue", "income", "Revenue", "what was invoiced, after discounts and before tax"),
    Entry(
        "deferred_revenue", "liability", "Deferred revenue",
        "invoiced for a period to come; moved to revenue by whoever recognizes it",
    ),
    Entry(
        "tax_payable", "liability", "Tax payable",
        "tax that was invoiced and is owed to the authority", ("jurisdiction",),
    ),
    Entry(
        "unapplied_payments", "liability", "Unapplied payments",
        "money that came in and belongs to no invoice yet",
    ),
    Entry(
        "wallet", "liability", "Wallet",
        "a customer's credit; opened with the wallet, and never below what its limit lets it",
        ("wallet",), opened=False,
    ),
    Entry("promotions", "expense", "Promotions", "credit that was given away"),
    Entry("refunds", "expense", "Refunds", "money of invoices that went back"),
    Entry(
        "disputes", "asset", "Disputes",
        "money that a payer's bank holds until a dispute is decided",
    ),
    Entry("dispute_losses", "expense", "Dispute losses", "money of disputes that were lost"),
    Entry("fees", "expense", "Fees", "what processors keep"),
    Entry("bad_debts", "expense", "Bad debts", "what was due and is written off"),
    Entry(
        "fx_clearing", "asset", "FX clearing",
        "both sides of a conversion, each in its currency; the transaction names the rate",
    ),
    Entry("rounding", "expense", "Rounding", "what is left over when amounts are split"),
    Entry("adjustments", "equity", "Adjustments", "corrections by hand"),
)  # fmt: skip
CHART: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}


@dataclass(frozen=True, slots=True)
class ChartAccount:
    """An account of the chart as it is opened: it may be negative."""

    external_id: str
    name: str
    type: str
    currency_code: str


def chart_account(external_id: str) -> ChartAccount | None:
    """Return what a name of the chart means, None for any other."""
    first, *parts = external_id.split(":")
    entry = CHART.get(first)
    if entry is None or not entry.opened or len(parts) != len(entry.parts) + 1:
        return None
    *parts, currency = parts
    if not all(_is_part(part) for part in parts):
        return None
    try:
        parse_currency(currency)
    except UnknownCurrency:
        return None
    title = " ".join([entry.title, *parts, currency])
    return ChartAccount(external_id, title, entry.type, currency)


def _is_part(part: str) -> bool:
    return 1 <= len(part) <= PART_LENGTH_MAX and part.isprintable() and not part.isspace()


def check_chart(external_id: str, kind: str, currency_code: str, allow_negative: bool) -> None:
    """Refuse an account that takes a name of the chart and is something else.

    Raises: Invalid.
    """
    entry = CHART.get(external_id.partition(":")[0])
    if entry is None or ":" not in external_id:
        return
    account = chart_account(external_id)
    if entry.opened and account is None:
        detail = f"names of this line of the chart are {entry.pattern}"
    elif kind != entry.type:
        detail = f"{entry.pattern} is of the type {entry.type}"
    elif account is not None and account.currency_code != currency_code:
        detail = f"{external_id} is kept in {account.currency_code}"
    elif entry.opened and not allow_negative:
        detail = f"{entry.pattern} may be negative"
    else:
        return
    raise Invalid([FieldError("/external_id", "CHART_ACCOUNT_DIFFERS", detail)])
