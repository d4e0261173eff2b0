"""What callers say, by whichever door, as values of the domain."""

from datetime import datetime
from decimal import Decimal

from billplane.chassis import ids
from billplane.discount import domain, schemas
from billplane.money import CurrencyCode


def rule_of(body: schemas.RuleBody, now: datetime, currency: CurrencyCode | str) -> domain.Rule:
    """Make a rule of what a caller says."""
    values = body.model_dump(exclude={"percent", "currency_code"})
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return domain.Rule(
        **values | lists,
        id=ids.new("dsr"),
        created_at=now,
        percent=Decimal(body.percent) if body.percent else None,
        currency=currency,
    )
