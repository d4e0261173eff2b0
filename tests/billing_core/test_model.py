"""The service against a plain model: random steps, lost calls and answers, the same balances."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from billplane.billing_core.service import operations, reservations, running, wallets
from billplane.billing_core.service.amounts import Wanted
from billplane.billing_core.service.operations import NewCredit
from billplane.billing_core.service.wallets import NewWallet, Target
from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.clock import FixedClock
from billplane.chassis.errors import BillplaneError, Kind, PeerError
from billplane.chassis.invariants import check
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.billing_core.model import Credit, Wallet
from tests.fixtures.platform import running as run_services

START = datetime(2030, 1, 1, tzinfo=UTC)
AMOUNTS = st.integers(1, 120)
FAULTS = st.sampled_from(["", "", "", "lost call", "lost answer"])
WHICH = st.integers(0, 9)


class Machine(RuleBasedStateMachine):
    """Drives the use cases and the model side by side."""

    runtime = loop = clock = ledger = None
    numbers = itertools.count()

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    @initialize(overdraft=st.sampled_from([0, 0, 60]))
    def open_wallet(self, overdraft):
        self.principal = service_principal("admin", f"ten_model_{next(self.numbers)}", False)
        new = NewWallet("somebody", "EUR", overdraft_minor=overdraft)
        self.wallet = self.run(self._ask("", wallets.create_wallet, new)).wallet.id
        self.target = Target(wallet_id=self.wallet)
        self.model = Wallet(overdraft, self.clock.now())

    async def _ask(self, fault, use_case, *arguments, **options):
        """Ask as a client does: with a key, and again when no answer came."""
        key = f"k-{next(self.numbers)}"
        if fault:
            with pytest.raises(PeerError, match=fault):
                await self._once(key, fault, use_case, *arguments, **options)
        return await self._once(key, "", use_case, *arguments, **options)

    async def _once(self, key, fault, use_case, *arguments, **options):
        async with Call(self.runtime, self.principal, key=key, fingerprint=key) as call:
            if fault:
                call.ask = _failing(call.ask, fault)
            found = await use_case(call, *arguments, **options)
            await call.answer(200, {}, b"")
            return found

    def ask(self, fault, use_case, *arguments, **options):
        """Return what came of it and the reason of a refusal."""
        try:
            return self.run(self._ask(fault, use_case, *arguments, **options)), ""
        except BillplaneError as error:
            return None, error.reason

    @rule(amount=AMOUNTS, fault=FAULTS)
    def top_up(self, amount, fault):
        _, reason = self.ask(
            fault,
            operations.top_up_wallet,
            self.target,
            amount_minor=amount,
            payment_intent_id="",
            manual_reason="cash",
            reference="",
        )
        assert reason == ""
        self.model.add(amount)

    @rule(amount=AMOUNTS, priority=st.integers(0, 2), hours=st.none() | st.integers(1, 9),
          kind=st.sampled_from(["promotional", "purchased"]), fault=FAULTS)  # fmt: skip
    def grant(self, amount, priority, hours, kind, fault):
        expires_at = None if hours is None else self.clock.now() + timedelta(hours=hours)
        new = NewCredit(amount, kind, priority, expires_at)
        _, reason = self.ask(
            fault, operations.grant_credit, self.target, new, reference="", description=""
        )
        assert reason == ""
        credit = Credit(amount, priority, expires_at, next(self.numbers))
        self.model.add(amount, credit)
        self.clock.advance(timedelta(microseconds=1))  # age orders credits

    @rule(amount=AMOUNTS, fault=FAULTS)
    def charge(self, amount, fault):
        taken = self.model.charge(amount)
        charged, reason = self.ask(
            fault if taken else "",
            operations.charge_wallet,
            self.target,
            Wanted(amount),
            reference="",
            description="",
        )
        assert reason == ("" if taken else "INSUFFICIENT_BALANCE")
        if taken:
            taken.id = charged.done.operation.id

    @rule(amount=AMOUNTS)
    def charge_what_there_is(self, amount):
        part = max(0, min(amount, self.model.available))
        taken = self.model.charge(part) if part else None
        charged, reason = self.ask(
            "",
            operations.charge_wallet,
            self.target,
            Wanted(amount),
            reference="",
            description="",
            partial=True,
        )
        assert (charged.charged_minor, reason) == (part, "")
        if taken:
            taken.id = charged.done.operation.id

    @rule(amount=AMOUNTS, hours=st.integers(1, 5), fault=FAULTS)
    def reserve(self, amount, hours, fault):
        held = self.model.reserve(amount, self.clock.now() + timedelta(hours=hours))
        done, reason = self.ask(
            fault if held else "",
            reservations.reserve_amount,
            self.target,
            Wanted(amount),
            ttl_seconds=hours * 3600,
            reference="",
            description="",
        )
        assert reason == ("" if held else "INSUFFICIENT_BALANCE")
        if held:
            held.id = done.result["reservation"]["id"]

    @rule(which=WHICH, amount=st.none() | AMOUNTS, final=st.booleans(), fault=FAULTS)
    def commit(self, which, amount, final, fault):
        if not self.model.reservations:
            return
        held = self.model.reservations[-1 - which % len(self.model.reservations)]
        wanted = held.left if amount is None else amount
        possible = held.state == "open" and wanted <= held.left
        done, reason = self.ask(
            fault if possible else "",
            reservations.commit_reservation,
            held.id,
            amount_minor=amount,
            final=final,
            reference="",
        )
        if held.state != "open":
            assert reason == f"RESERVATION_{held.state.upper()}"
        elif wanted > held.left:
            assert reason == "COMMIT_EXCEEDS_RESERVATION"
        else:
            assert reason == ""
            self.model.commit(held, wanted, final=final).id = done.operation.id

    @rule(which=WHICH, fault=FAULTS)
    def release(self, which, fault):
        if not self.model.reservations:
            return
        held = self.model.reservations[-1 - which % len(self.model.reservations)]
        open_ = held.state == "open"
        _, reason = self.ask(fault if open_ else "", reservations.release_reservation, held.id)
        assert reason == ("" if open_ else f"RESERVATION_{held.state.upper()}")
        if open_:
            self.model.close(held, "released")

    @rule(which=WHICH, amount=st.integers(0, 60), fault=FAULTS)
    def refund(self, which, amount, fault):
        if not self.model.taken:
            return
        taken = self.model.taken[-1 - which % len(self.model.taken)]
        left = taken.amount - taken.given_back
        wanted = amount or left
        possible = 0 < wanted <= left
        _, reason = self.ask(
            fault if possible else "",
            operations.refund_operation,
            taken.id,
            amount_minor=amount,
            reason="",
            reference="",
        )
        assert reason == ("" if possible else "REFUND_EXCEEDS_OPERATION")
        if possible:
            self.model.refund(taken, wanted)

    @rule(amount=AMOUNTS, takes=st.booleans(), fault=FAULTS)
    def adjust(self, amount, takes, fault):
        possible = True
        if takes:
            possible = self.model.charge(amount) is not None
            if possible:
                self.model.taken.pop()  # a correction is corrected, not given back
        else:
            self.model.add(amount)
        _, reason = self.ask(
            fault if possible else "",
            operations.adjust_balance,
            self.target,
            amount_minor=-amount if takes else amount,
            reason="tried",
            reference="",
        )
        assert reason == ("" if possible else "INSUFFICIENT_BALANCE")

    @rule(hours=st.integers(1, 4))
    def wait(self, hours):
        self.clock.advance(timedelta(hours=hours))
        for held in self.model.reservations:
            if held.state == "open" and held.expires_at <= self.clock.now():
                self.run(self._run_out(held.id))
        self.model.advance(self.clock.now())

    async def _run_out(self, reservation_id):
        async with Call(self.runtime, self.principal) as call:
            await reservations.run_out_reservation(call, reservation_id)

    @invariant()
    def balances_are_those_of_the_model(self):
        found = self.run(self._balance())
        told = {
            "posted": found["posted_minor"],
            "reserved": found["reserved_minor"],
            "credits": [item["remaining_minor"] for item in found["credits"]],
        }
        assert told == self.model.told()
        assert found["available_minor"] >= -self.model.overdraft

    async def _balance(self):
        async with Call(self.runtime, self.principal) as call:
            return await wallets.get_balance(call, self.target)

    def teardown(self):
        self.run(self._quiet())
        assert self.run(check(self.runtime)) == []
        assert self.run(check(self.ledger)) == []

    async def _quiet(self):
        """Complete what nobody waits for; then the ledger's account is the model's."""
        async with self.runtime.database.across_tenants("reader") as session:
            rows = await session.connection()
            found = await rows.exec_driver_sql(
                "SELECT id FROM billing_core.operations WHERE state = 'pending'"
                f" AND wallet_id = '{self.wallet}'"
            )
            pending = [row.id for row in found]
        async with Call(self.runtime, self.principal) as call:
            for operation_id in pending:
                await running.complete(call, operation_id)
        async with self.ledger.database.across_tenants("reader") as session:
            rows = await session.connection()
            found = await rows.exec_driver_sql(
                "SELECT posted_minor, pending_out_minor FROM ledger.accounts"
                f" WHERE external_id = 'wallet:{self.wallet}'"
            )
            (account,) = [tuple(row) for row in found]
        assert account == (self.model.posted, self.model.reserved)


def _failing(ask, fault):
    """Lose the first call of the ledger, or the answer to it."""

    async def failing(*arguments, **options):
        if fault == "lost answer":
            await ask(*arguments, **options)
        raise PeerError(Kind.UNAVAILABLE, "PEER_UNAVAILABLE", fault)

    return failing


@pytest.fixture
async def services(make_stores):
    """Run billing_core and its ledger alone, at a time that the machine moves."""
    clock = FixedClock(START)
    names = ("billing_core", "ledger", "subscription")
    async with run_services(await make_stores(), names, clock) as platform:
        yield platform.platform.runtimes, clock


async def test_random_steps_lead_where_a_plain_model_leads(services):
    runtimes, Machine.clock = services
    Machine.runtime, Machine.ledger = runtimes["billing_core"], runtimes["ledger"]
    Machine.loop = asyncio.get_running_loop()
    machine = Machine.TestCase
    machine.settings = settings(
        max_examples=6,
        stateful_step_count=25,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(machine().runTest)
