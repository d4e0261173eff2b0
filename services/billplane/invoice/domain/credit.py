"""How much of an invoice a credit note gives back: every line and every tax to the cent.

What is given back of a line's tax follows what is given back of the line, rounded on the sum of
all notes: however an invoice is cut into notes, together they never give back more than it asked
for, and once nothing is left they equal it in every line and every group of tax.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billplane.invoice.errors import CreditTooLarge, NothingToCredit
from billplane.money import allocate


@dataclass(frozen=True, slots=True)
class Creditable:
    """One line of an invoice, and what earlier notes gave back of it."""

    line_id: str
    net_minor: int
    tax_minor: int
    net_done_minor: int = 0
    tax_done_minor: int = 0
    inclusive: bool = False
    keys: tuple[str, ...] = ()

    @property
    def net_left(self) -> int:
        """What is left of the line without tax."""
        return self.net_minor - self.net_done_minor

    @property
    def tax_left(self) -> int:
        """What is left of its tax."""
        return self.tax_minor - self.tax_done_minor

    @property
    def left(self) -> int:
        """What is left of both."""
        return self.net_left + self.tax_left


@dataclass(frozen=True, slots=True)
class Group:
    """One group of tax of an invoice, and what earlier notes gave back of it."""

    key: str
    rate: Decimal
    base_minor: int
    tax_minor: int
    base_done_minor: int = 0
    tax_done_minor: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What a note gives back of a line."""

    line_id: str
    net_minor: int
    tax_minor: int


def credit_rest(lines: Sequence[Creditable]) -> list[Part]:
    """Give back everything that is left.

    Raises: NothingToCredit.
    """
    return _worth([Part(line.line_id, line.net_left, line.tax_left) for line in lines], lines)


def credit_amount(lines: Sequence[Creditable], total_minor: int) -> list[Part]:
    """Give back an amount, tax included, in proportion to what is left of each line.

    Raises: NothingToCredit, CreditTooLarge.
    """
    left = sum(line.left for line in lines)
    if left <= 0:
        raise NothingToCredit("nothing is left of the invoice")
    if total_minor > left:
        raise CreditTooLarge(f"only {left} is left of the invoice", field="/amount_minor")
    parts = []
    passed = given = 0
    for line in lines:
        passed += line.left
        until = _half_up(total_minor * passed, left)
        parts.append(_by_gross(line, until - given))
        given = until
    return _worth(parts, lines)


def credit_lines(lines: Sequence[Creditable], asked: Mapping[str, int | None]) -> list[Part]:
    """Give back of some lines: an amount as the line's price has it, or all that is left.

    Raises: NothingToCredit, CreditTooLarge.
    """
    parts = []
    for line in lines:
        if line.line_id not in asked:
            continue
        amount = asked[line.line_id]
        left = line.left if line.inclusive else line.net_left
        if amount is None:
            amount = left
        if not min(0, left) <= amount <= max(0, left):
            detail = f"only {left} is left of the line {line.line_id}"
            raise CreditTooLarge(detail, field="/lines", metadata={"line_id": line.line_id})
        parts.append(_by_gross(line, amount) if line.inclusive else _by_net(line, amount))
    worth = _worth(parts, lines)
    left = sum(line.left for line in lines)
    if sum(part.net_minor + part.tax_minor for part in worth) > left:
        raise CreditTooLarge(f"only {left} is left of the invoice", field="/lines")
    return worth


def _worth(parts: Sequence[Part], lines: Sequence[Creditable]) -> list[Part]:
    worth = [part for part in parts if part.net_minor or part.tax_minor]
    if sum(part.net_minor + part.tax_minor for part in worth) <= 0:
        if sum(line.left for line in lines) <= 0:
            raise NothingToCredit("nothing is left of the invoice")
        raise CreditTooLarge("a credit note gives something back", field="/lines")
    return worth


def _by_net(line: Creditable, net_minor: int) -> Part:
    if net_minor == line.net_left:
        return Part(line.line_id, line.net_left, line.tax_left)
    until = _half_up(line.tax_minor * (line.net_done_minor + net_minor), line.net_minor)
    tax = _between(until - line.tax_done_minor, 0, line.tax_left)
    return Part(line.line_id, net_minor, tax)


def _by_gross(line: Creditable, gross_minor: int) -> Part:
    if gross_minor == line.left:
        return Part(line.line_id, line.net_left, line.tax_left)
    done = line.net_done_minor + line.tax_done_minor
    until = _half_up(line.tax_minor * (done + gross_minor), line.net_minor + line.tax_minor)
    tax = _between(until - line.tax_done_minor, 0, line.tax_left)
    # What is no tax must fit into what is left of the line.
    net = _between(gross_minor - tax, 0, line.net_left)
    return Part(line.line_id, net, gross_minor - net)


def credited_groups(
    parts: Sequence[Part], lines: Sequence[Creditable], groups: Sequence[Group]
) -> list[tuple[str, int, int]]:
    """Split what is given back over the groups of tax.

    Shape: key, base and tax of each group that has any; the taxes sum to those of the parts.
    """
    given = {part.line_id: part for part in parts}
    ends = all(
        (part.net_minor, part.tax_minor) == (line.net_left, line.tax_left)
        for line in lines
        for part in [given.get(line.line_id, Part(line.line_id, 0, 0))]
    )
    if ends:
        return [
            (
                group.key,
                group.base_minor - group.base_done_minor,
                group.tax_minor - group.tax_done_minor,
            )
            for group in groups
        ]
    bases, taxes = dict.fromkeys((group.key for group in groups), 0), {}
    taxes = dict(bases)
    rates = {group.key: group.rate for group in groups}
    stacked = False
    for line in lines:
        part = given.get(line.line_id)
        if part is None:
            continue
        for key in line.keys:
            bases[key] += part.net_minor
        stacked = stacked or len(line.keys) > 1
        for key, share in zip(line.keys, _stack(part.tax_minor, line.keys, rates), strict=True):
            taxes[key] += share
    if stacked:
        _fit(taxes, groups)
    return [(key, bases[key], taxes[key]) for key in bases if bases[key] or taxes[key]]


def _stack(tax_minor: int, keys: Sequence[str], rates: Mapping[str, Decimal]) -> list[int]:
    if len(keys) == 1:
        return [tax_minor]
    shares = allocate(abs(tax_minor), [rates[key] for key in keys])
    return shares if tax_minor >= 0 else [-share for share in shares]


def _fit(taxes: dict[str, int], groups: Sequence[Group]) -> None:
    """Let no level of a stacked tax give back more than is left of it; another bears the rest."""
    left = {group.key: group.tax_minor - group.tax_done_minor for group in groups}
    over = 0
    for key, share in taxes.items():
        taxes[key] = _between(share, 0, left[key])
        over += share - taxes[key]
    for key, share in taxes.items():
        room = _between(over, 0, left[key] - share)
        taxes[key] += room
        over -= room
    taxes[next(iter(taxes))] += over


def _between(value: int, one: int, other: int) -> int:
    return max(min(one, other), min(value, max(one, other)))


def _half_up(numerator: int, denominator: int) -> int:
    """Divide and round half away from zero."""
    sign = 1 if (numerator >= 0) == (denominator > 0) else -1
    quotient, rest = divmod(abs(numerator), abs(denominator))
    return sign * (quotient + (2 * rest >= abs(denominator)))
