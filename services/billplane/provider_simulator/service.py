"""What the utility answers, and what it is told to do wrong."""

import base64
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from billplane.chassis.clock import Clock
from billplane.provider_simulator.domain import sessions
from billplane.provider_simulator.domain.bills import Bill, bill_of, issues_of
from billplane.provider_simulator.domain.customers import (
    CODE,
    WELL_KNOWN,
    Account,
    Customer,
    Utility,
    accounts_of,
    customer_of,
)
from billplane.provider_simulator.domain.draws import draw
from billplane.provider_simulator.errors import (
    AccountLocked,
    CredentialsInvalid,
    NotFound,
    Refused,
    RequestInvalid,
    SecondFactorNeeded,
    TokenExpired,
    TokenInvalid,
    TooManyRequests,
    Unavailable,
)
from billplane.provider_simulator.settings import ProviderSimulatorSettings

FaultKind = Literal["latency", "error", "rate_limit", "expired_token", "malformed", "mfa"]
SESSIONS_MAX: Final = 10_000
CHALLENGE_SECONDS: Final = 300


@dataclass(slots=True)
class Fault:
    """Something that goes wrong on purpose; `count` is how many requests it still meets."""

    kind: FaultKind
    path: str
    count: int | None
    status: int
    milliseconds: int
    retry_after_seconds: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request before it is answered."""

    delay_seconds: float = 0
    refusal: Refused | None = None
    malformed: bool = False


class Simulation:
    """One utility while it runs; it remembers faults and who asked how often, nothing else."""

    def __init__(self, settings: ProviderSimulatorSettings, clock: Clock) -> None:
        self.settings = settings
        self.utility = Utility(
            settings.seed,
            settings.accounts,
            settings.category,
            settings.country,
            settings.currency,
        )
        self.faults: list[Fault] = []
        self._clock = clock
        self._zone = ZoneInfo(settings.time_zone)
        self._requests = 0
        # Per session: how many more requests it may send, in millionths, and as of when.
        self._allowed: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def log_in(self, username: str, password: str) -> tuple[str, int]:
        """Return a token and how many seconds it lasts.

        Raises: CredentialsInvalid, AccountLocked, SecondFactorNeeded.
        """
        customer = customer_of(self.utility, username)
        if customer is None or customer.password != password:
            raise CredentialsInvalid("no such customer, or another password")
        if customer.kind == "locked":
            raise AccountLocked("too many attempts; ask the utility to unlock the account")
        if customer.kind == "mfa" or any(self._faults("mfa", "/v1/session")):
            ends = sessions.until(self._clock.now(), CHALLENGE_SECONDS)
            challenge = sessions.sign(self.utility.seed, "challenge", customer.username, ends)
            raise SecondFactorNeeded(
                "tell the code that was sent", mfa={"channel": "sms", "challenge": challenge}
            )
        return self._session(customer)

    def answer_challenge(self, challenge: str, code: str) -> tuple[str, int]:
        """Return a token for the code that was sent.

        Raises: CredentialsInvalid.
        """
        asked = sessions.read(self.utility.seed, "challenge", challenge)
        customer = customer_of(self.utility, asked.username) if asked is not None else None
        if asked is None or customer is None or asked.expires_at <= self._clock.now():
            raise CredentialsInvalid("the challenge is none, or has ended")
        if code != CODE:
            raise CredentialsInvalid("this is not the code that was sent")
        return self._session(customer)

    def _session(self, customer: Customer) -> tuple[str, int]:
        seconds = self.settings.session_seconds
        # This one's utility ends sessions before the time it promised.
        lasts = 0 if customer.kind == "expired" else seconds
        ends = sessions.until(self._clock.now(), lasts)
        return sessions.sign(self.utility.seed, "session", customer.username, ends), seconds

    def customer(self, token: str) -> Customer:
        """Return who is logged in.

        Raises: TokenInvalid, TokenExpired.
        """
        session = sessions.read(self.utility.seed, "session", token)
        customer = customer_of(self.utility, session.username) if session is not None else None
        if session is None or customer is None:
            raise TokenInvalid("the token is none of this utility's")
        if session.expires_at <= self._clock.now():
            raise TokenExpired("the session has ended; log in again")
        return customer

    def delay_seconds(self, username: str) -> float:
        """Return how much longer a customer waits than others."""
        customer = customer_of(self.utility, username)
        slow = customer is not None and customer.kind == "slow"
        return self.settings.slow_seconds if slow else 0

    def accounts(self, customer: Customer) -> list[Account]:
        """Return a customer's accounts."""
        return accounts_of(self.utility, customer.number)

    def bills(
        self, customer: Customer, account_id: str, since: date | None, cursor: str, limit: int
    ) -> tuple[list[Bill], str | None]:
        """Return a page of an account's bills, oldest first, and where the next page begins.

        Raises: NotFound, RequestInvalid.
        """
        account = next((item for item in self.accounts(customer) if item.id == account_id), None)
        if account is None:
            raise NotFound(f"there is no account {account_id}")
        today = self._clock.now().astimezone(self._zone).date()
        after = _after(cursor) if cursor else (since or date.min, "")
        found = [issue for issue in issues_of(self.utility, account, today) if issue.key > after]
        page = found[:limit]
        following = _cursor(page[-1].key) if len(found) > limit else None
        return [bill_of(self.utility, account, issue) for issue in page], following

    def admit(self, path: str, token: str) -> Verdict:
        """Decide what becomes of a request before it is answered."""
        delay = self.settings.latency_seconds
        delay += sum(fault.milliseconds for fault in self._faults("latency", path)) / 1000
        malformed = any(self._faults("malformed", path))
        for fault in self._faults("error", path):
            refusal = Unavailable("the utility is out of order, as it was told to be")
            refusal.status = fault.status
            return Verdict(delay, refusal)
        for fault in self._faults("rate_limit", path):
            waits = TooManyRequests("slower, please", fault.retry_after_seconds)
            return Verdict(delay, waits)
        if token and any(self._faults("expired_token", path)):
            return Verdict(delay, TokenExpired("the session has ended; log in again"))
        if path == "/health":
            return Verdict(delay, malformed=malformed)
        if token and not self._may_ask(token):
            return Verdict(delay, TooManyRequests("slower, please", 1))
        self._requests += 1
        share = draw(self.utility.seed, "error", self._requests) % 1_000_000
        if share < self.settings.error_rate * 1_000_000:
            return Verdict(delay, Unavailable("the utility is out of order, by chance"))
        customer = sessions.read(self.utility.seed, "session", token) if token else None
        if customer is not None:
            delay += self.delay_seconds(customer.username)
            malformed = malformed or customer.username.startswith("malformed@")
        return Verdict(delay, malformed=malformed)

    def _faults(self, kind: FaultKind, path: str) -> Iterator[Fault]:
        """Give the faults that meet a request, each used up by one."""
        for fault in list(self.faults):
            if fault.kind != kind or not path.startswith(fault.path):
                continue
            if fault.count is not None:
                fault.count -= 1
                if fault.count == 0:
                    self.faults.remove(fault)
            yield fault

    def _may_ask(self, token: str) -> bool:
        """Take one request from what a session may send; it may save up those of a second."""
        now, rate = self._clock.now(), self.settings.requests_per_second
        left, since = self._allowed.pop(token, (rate * 1_000_000, now))
        passed = (now - since).seconds * 1_000_000 + (now - since).microseconds
        left = min(rate * 1_000_000, left + max(0, passed) * rate)
        allowed = left >= 1_000_000
        self._allowed[token] = (left - 1_000_000 if allowed else left, now)
        if len(self._allowed) > SESSIONS_MAX:
            self._allowed.popitem(last=False)
        return allowed


def well_known(utility: Utility) -> list[Customer]:
    """Return the customers that behave in a way of their own."""
    found = (customer_of(utility, f"{name}@customers.example") for name in WELL_KNOWN)
    return [customer for customer in found if customer is not None]


def _cursor(key: tuple[date, str]) -> str:
    return base64.urlsafe_b64encode(f"{key[0]}|{key[1]}".encode()).decode()


def _after(cursor: str) -> tuple[date, str]:
    try:
        day, _, bill_id = base64.urlsafe_b64decode(cursor).decode().partition("|")
        return date.fromisoformat(day), bill_id
    except ValueError:
        raise RequestInvalid("the cursor is none that was given") from None
