"""What a wallet is to be, in plain Python: every rule told a second time, without a database."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Credit:
    left: int
    priority: int
    expires_at: datetime | None
    number: int

    def over(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass
class Reservation:
    left: int
    expires_at: datetime
    state: str = "open"
    id: str = ""


@dataclass
class Taken:
    """A charge or a commit: how much of it each credit gave, in order, then plain money."""

    amount: int
    shares: list[tuple[Credit, int]]
    id: str = ""
    given_back: int = 0


@dataclass
class Wallet:
    overdraft: int
    now: datetime
    posted: int = 0
    reserved: int = 0
    credits: list[Credit] = field(default_factory=list)
    reservations: list[Reservation] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)

    @property
    def available(self) -> int:
        return self.posted - self.reserved

    def in_order(self) -> list[Credit]:
        far = datetime.max.replace(tzinfo=self.now.tzinfo)
        key = lambda credit: (credit.priority, credit.expires_at or far, credit.number)  # noqa: E731
        return sorted(self.credits, key=key)

    def end_credits(self) -> None:
        """Lose what is over, but for as much as reservations may still need."""
        over = [credit for credit in self.in_order() if credit.over(self.now)]
        surplus = sum(credit.left for credit in over) - self.reserved
        for credit in over:
            part = max(0, min(credit.left, surplus))
            credit.left -= part
            self.posted -= part
            surplus -= part

    def give(self, lots: list[Credit], amount: int) -> list[tuple[Credit, int]]:
        shares = []
        for credit in lots:
            part = min(credit.left, amount)
            if part:
                credit.left -= part
                amount -= part
                shares.append((credit, part))
        return shares

    def usable(self) -> list[Credit]:
        return [credit for credit in self.in_order() if not credit.over(self.now)]

    def settle(self) -> None:
        owed = sum(credit.left for credit in self.credits) - self.posted
        if owed > 0:
            self.give(self.usable(), owed)

    def add(self, amount: int, credit: Credit | None = None) -> None:
        self.posted += amount
        if credit is not None:
            self.credits.append(credit)
        self.settle()

    def charge(self, amount: int) -> Taken | None:
        if amount > self.available + self.overdraft:
            return None
        taken = Taken(amount, self.give(self.usable(), amount))
        self.posted -= amount
        self.taken.append(taken)
        return taken

    def reserve(self, amount: int, expires_at: datetime) -> Reservation | None:
        if amount > self.available:
            return None
        self.reserved += amount
        self.reservations.append(Reservation(amount, expires_at))
        return self.reservations[-1]

    def commit(self, held: Reservation, amount: int, *, final: bool) -> Taken:
        over = [credit for credit in self.in_order() if credit.over(self.now)]
        taken = Taken(amount, self.give([*over, *self.usable()], amount))
        self.taken.append(taken)
        self.posted -= amount
        self.reserved -= amount
        held.left -= amount
        if final or not held.left:
            self.close(held, "committed")
        return taken

    def close(self, held: Reservation, state: str) -> None:
        self.reserved -= held.left
        held.left, held.state = 0, state
        self.end_credits()

    def refund(self, taken: Taken, amount: int) -> None:
        """Put plain money back first, then what credits gave, the last of them first."""
        plain = taken.amount - sum(part for _, part in taken.shares)
        before = max(0, taken.given_back - plain)
        taken.given_back += amount
        after = max(0, taken.given_back - plain)
        position = 0
        for credit, part in reversed(taken.shares):
            start, end = max(before, position), min(after, position + part)
            credit.left += max(0, end - start)
            position += part
        self.add(amount)
        self.end_credits()

    def advance(self, now: datetime) -> None:
        self.now = now
        for held in self.reservations:
            if held.state == "open" and held.expires_at <= now:
                self.close(held, "expired")
        self.end_credits()

    def told(self) -> dict[str, Any]:
        return {
            "posted": self.posted,
            "reserved": self.reserved,
            "credits": [credit.left for credit in self.usable() if credit.left],
        }
