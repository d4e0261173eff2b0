"""What is asked of a source: the rates it knows."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation

from billplane.exchange_rate.domain import Quotation
from billplane.exchange_rate.errors import SourceUnreadable


def parse_rate(text: str, where: str) -> Decimal:
    """Read a rate.

    Raises: SourceUnreadable when it is no finite decimal above zero of a usual size.
    """
    try:
        rate = Decimal(text.strip())
    except InvalidOperation:
        raise SourceUnreadable(f"{where}: {text[:40]!r} is not a rate") from None
    if not rate.is_finite() or rate <= 0 or abs(rate.adjusted()) > 17:
        raise SourceUnreadable(f"{where}: {text[:40]!r} is not a rate")
    return rate


def parse_day(text: str, where: str) -> date:
    """Read YYYY-MM-DD.

    Raises: SourceUnreadable.
    """
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        raise SourceUnreadable(f"{where}: {text[:40]!r} is not a date") from None


def rebase(
    quotations: Iterable[Quotation], given: str, wanted: str, currencies: Iterable[str]
) -> list[Quotation]:
    """Keep the feed's currencies.

    Raises: SourceUnreadable when the source quotes against another base than the feed's.
    """
    if given != wanted:
        raise SourceUnreadable(f"the source quotes against {given}, the feed against {wanted}")
    kept = set(currencies)
    return [item for item in quotations if item.quote in kept]
