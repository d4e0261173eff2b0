"""The service against a plain model: random steps, the same balances and the same refusals."""

import asyncio
from dataclasses import dataclass, field

import pytest
from billplane.chassis.auth import Principal
from billplane.chassis.call import Call
from billplane.chassis.errors import BillplaneError
from billplane.chassis.idempotency import StoredAnswer
from billplane.chassis.invariants import check
from billplane.ledger.domain import NewTransaction, Posting
from billplane.ledger.service import accounts, transactions
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.fixtures.platform import running

# Name, type, floor: none for an account that may fall as it likes.
ACCOUNTS = {
    "funding": ("asset", None),
    "wallet": ("liability", 0),
    "credit": ("asset", 50),
    "sales": ("income", 0),
    "fees": ("expense", 0),
}
NAMES = st.sampled_from(sorted(ACCOUNTS))
AMOUNTS = st.integers(1, 120)


@dataclass
class Books:
    """What the books are to be, in plain Python."""

    posted: dict = field(default_factory=lambda: dict.fromkeys(ACCOUNTS, 0))
    coming: dict = field(default_factory=lambda: dict.fromkeys(ACCOUNTS, 0))
    going: dict = field(default_factory=lambda: dict.fromkeys(ACCOUNTS, 0))
    holds: list = field(default_factory=list)
    done: list = field(default_factory=list)

    def grows(self, name, direction):
        return (ACCOUNTS[name][0] in ("asset", "expense")) == (direction == "debit")

    def post(self, legs, sign=1):
        """Post legs, or refuse them."""
        after = dict(self.posted)
        for name, direction, amount in legs:
            after[name] += sign * (amount if self.grows(name, direction) else -amount)
        if self.short(after, self.going, legs):
            return "INSUFFICIENT_FUNDS"
        self.posted = after
        return ""

    def reserve(self, legs, sign=1):
        """Reserve legs, or refuse to."""
        coming, going = dict(self.coming), dict(self.going)
        for name, direction, amount in legs:
            (coming if self.grows(name, direction) else going)[name] += sign * amount
        if self.short(self.posted, going, legs):
            return "INSUFFICIENT_FUNDS"
        self.coming, self.going = coming, going
        return ""

    def short(self, posted, going, legs):
        names = {name for name, _, _ in legs}
        return any(
            ACCOUNTS[name][1] is not None and posted[name] - going[name] < -ACCOUNTS[name][1]
            for name in names
        )


def _tell(value):
    return value, StoredAnswer(200, {}, b"")


class Machine(RuleBasedStateMachine):
    """Drives the use cases and the model side by side."""

    runtime = None
    loop = None
    tenants = iter(range(1_000_000))

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def call(self):
        return Call(self.runtime, self.principal)

    @initialize()
    def open_accounts(self):
        tenant = f"ten_model_{next(self.tenants)}"
        self.principal = Principal("user:usr_model", tenant, False, frozenset({"*"}))
        self.model = Books()
        self.ids = self.run(self._open())

    async def _open(self):
        found = {}
        async with self.call() as call:
            tx = await call.last()
            for name, (kind, floor) in ACCOUNTS.items():
                row = await accounts.create_account(
                    tx,
                    name=name,
                    kind=kind,
                    currency_code="EUR",
                    allow_negative=floor is None,
                    credit_limit_minor=floor or None,
                    external_id=name,
                    metadata={},
                )
                found[name] = row.id
        return found

    async def _try(self, use_case, *arguments):
        try:
            async with self.call() as call:
                return await use_case(call, *arguments, _tell), ""
        except BillplaneError as error:
            return None, error.reason

    def record(self, legs, pending=False):
        new = NewTransaction(
            [Posting(name, direction, amount) for name, direction, amount in legs],
            "EUR",
            pending=pending,
        )
        return self.run(self._try(transactions.record_transaction, new))

    @rule(debit=NAMES, credit=NAMES, amount=AMOUNTS)
    def move(self, debit, credit, amount):
        legs = [(debit, "debit", amount), (credit, "credit", amount)]
        recorded, reason = self.record(legs)
        assert reason == self.model.post(legs)
        if recorded:
            self.model.done.append([recorded.transaction.id, legs, False])

    @rule(first=NAMES, second=NAMES, third=NAMES, amount=AMOUNTS, part=AMOUNTS)
    def split(self, first, second, third, amount, part):
        legs = [(first, "credit", amount + part), (second, "debit", amount), (third, "debit", part)]
        _, reason = self.record(legs)
        assert reason == self.model.post(legs)

    @rule(debit=NAMES, credit=NAMES, amount=AMOUNTS)
    def hold(self, debit, credit, amount):
        legs = [(debit, "debit", amount), (credit, "credit", amount)]
        recorded, reason = self.record(legs, pending=True)
        assert reason == self.model.reserve(legs)
        if recorded:
            self.model.holds.append([recorded.transaction.id, debit, credit, amount])

    @rule(which=st.integers(0, 5), amount=st.integers(0, 130), final=st.booleans())
    def commit(self, which, amount, final):
        if not self.model.holds:
            return
        hold = self.model.holds[which % len(self.model.holds)]
        name, debit, credit, remaining = hold
        _, reason = self.run(self._try(transactions.commit_hold, name, amount, final))
        took = amount or remaining
        if remaining == 0:
            assert reason == "HOLD_CLOSED"
        elif debit == credit and took != remaining and took < remaining:
            assert reason == "HOLD_INDIVISIBLE"
        elif took > remaining:
            assert reason == "HOLD_EXCEEDED"
        else:
            back = remaining if final else took
            assert reason == ""
            assert self.model.reserve([(debit, "debit", back), (credit, "credit", back)], -1) == ""
            assert self.model.post([(debit, "debit", took), (credit, "credit", took)]) == ""
            hold[3] -= back

    @rule(which=st.integers(0, 5))
    def release(self, which):
        if not self.model.holds:
            return
        hold = self.model.holds[which % len(self.model.holds)]
        name, debit, credit, remaining = hold
        _, reason = self.run(self._try(transactions.release_hold, name))
        assert reason == ("" if remaining else "HOLD_CLOSED")
        self.model.reserve([(debit, "debit", remaining), (credit, "credit", remaining)], -1)
        hold[3] = 0

    @rule(which=st.integers(0, 5))
    def reverse(self, which):
        if not self.model.done:
            return
        made = self.model.done[which % len(self.model.done)]
        name, legs, reversed_before = made
        _, reason = self.run(self._try(transactions.reverse_transaction, name, ""))
        if reversed_before:
            assert reason == "ALREADY_REVERSED"
        else:
            assert reason == self.model.post(legs, -1)
            made[2] = not reason

    @invariant()
    def balances_are_those_of_the_model(self):
        for name, found in self.run(self._balances()).items():
            wanted = (self.model.posted[name], self.model.coming[name], self.model.going[name])
            assert found == wanted, name

    async def _balances(self):
        async with self.call() as call, call.reading() as tx:
            found = {name: await accounts.get_balance(tx, name, None) for name in ACCOUNTS}
        return {
            name: (item.balance_minor, item.pending_in_minor, item.pending_out_minor)
            for name, item in found.items()
        }

    def teardown(self):
        assert self.run(check(self.runtime)) == []


@pytest.fixture
async def ledger(make_stores):
    """Run ledger alone, for the machine to drive."""
    async with running(await make_stores(), ("ledger",)) as platform:
        yield platform.platform.runtimes["ledger"]


async def test_random_steps_lead_where_a_plain_model_leads(ledger):
    Machine.runtime, Machine.loop = ledger, asyncio.get_running_loop()
    machine = Machine.TestCase
    machine.settings = settings(
        max_examples=12,
        stateful_step_count=25,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(machine().runTest)
