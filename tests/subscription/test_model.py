"""The life of a subscription, played at random on a real database against a model of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.subscription.billing import Seller, fee, plan

STEPS, EXAMPLES = 6, 3
# Name: fee of a month in minor units, and whether it is paid in advance.
PLANS = {
    "arrears": (3100, False),
    "more": (7777, False),
    "advance": (6200, True),
    "dear": (9301, True),
}


def half_up(amount):
    return int(amount * 2 + 1) // 2


def month_after(day):
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


class Model:
    """What has been owed by now, day by day: fees, less what is credited."""

    def __init__(self, name, now):
        self.now, self.name, self.next = now, name, None
        self.state, self.owed = "active", 0
        self.open = []  # what earlier plans of the open month are owed, billed when it ends
        self.since = now.date()  # since when on this plan within the month
        self.ends = False
        self.pay_ahead()

    @property
    def end(self):
        return month_after(self.now.date())

    def part(self, minor, first, last):
        """The share of a month's amount that some of its days have."""
        whole = (month_after(first) - first.replace(day=1)).days
        return half_up(Fraction(minor * (last - first).days, whole))

    def pay_ahead(self):
        """Charge a fee in advance up to the end of the month, from now."""
        minor, ahead = PLANS[self.name]
        self.paid, self.paid_from = 0, self.now.date()
        if ahead:
            self.paid = self.part(minor, self.now.date(), self.end)
            self.owed += self.paid

    def credit(self):
        """Give back what is paid for the days that are left."""
        days, left = (self.end - self.paid_from).days, (self.end - self.now.date()).days
        if self.paid and days:
            self.owed -= half_up(Fraction(self.paid * left, days))
        self.paid = 0

    def owe(self, last):
        """Owe a fee in arrears for the days on this plan, once the month is billed."""
        minor, ahead = PLANS[self.name]
        if not ahead:
            self.open.append(self.part(minor, self.since, last))

    def bill(self):
        """Bill the month, or what there is of it."""
        self.owed += sum(self.open)
        self.open = []

    def move(self, to):
        """Let time pass."""
        while self.state == "active" and datetime.combine(self.end, datetime.min.time(), UTC) <= to:
            self.owe(self.end)
            self.bill()
            self.now = datetime.combine(self.end, datetime.min.time(), UTC)
            if self.ends:
                self.state = "ended"
                break
            self.name, self.next = self.next or self.name, None
            self.since = self.now.date()
            self.pay_ahead()
        self.now = to

    def change(self, name):
        self.owe(self.now.date())
        self.credit()
        self.name, self.next, self.since = name, None, self.now.date()
        self.pay_ahead()

    def pause(self):
        self.owe(self.now.date())
        self.bill()
        self.credit()
        self.state = "paused"

    def resume(self):
        self.state, self.since = "active", self.now.date()
        self.pay_ahead()

    def end_now(self):
        self.owe(self.now.date())
        self.bill()
        self.credit()
        self.state = "ended"


class Life(RuleBasedStateMachine):
    """One subscription under everything that can be asked of it."""

    platform = None
    loop = None
    runs = 0

    def __init__(self):
        super().__init__()
        Life.runs += 1
        self.seller = Seller(self.platform, f"ten_subscription_life_{Life.runs}")
        self.model = None

    def play(self, coroutine):
        """Run a request on the platform's loop, and wait for it here."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(120)

    @initialize(name=st.sampled_from(sorted(PLANS)), day=st.integers(1, 31))
    def subscribe(self, name, day):
        now = datetime(2024, 1, day, 13, tzinfo=UTC)
        for other, (minor, ahead) in PLANS.items():
            spec = plan(fee(f"{minor / 100:.2f}", "InAdvance" if ahead else "InArrears"))
            self.play(self.seller.sells(spec, other, now.isoformat()))
        self.play(self.seller.customer(payment_terms_days=365))
        body = {"customer_id": "ada", "plan": name}
        self.made = self.play(self.seller.call("POST", "/v1/subscriptions", body, 201))
        self.model = Model(name, now)
        self.play(self.seller.bills())

    def live(self):
        return self.model.state == "active"

    @rule(hours=st.sampled_from([3, 30, 24 * 9, 24 * 20, 24 * 45]))
    def pass_time(self, hours):
        to = self.model.now + timedelta(hours=hours)
        self.play(self.seller.until(to.isoformat()))
        self.play(self.seller.bills())
        self.model.move(to)

    @precondition(live)
    @rule(name=st.sampled_from(sorted(PLANS)), always=st.booleans())
    def change_now(self, name, always):
        proration = "always_invoice" if always else "create"
        expect = 409 if name == self.model.name else 200
        self.play(self.seller.changes_plan(self.made, name, expect, proration=proration))
        if expect == 200:
            self.model.change(name)
            self.play(self.seller.bills())

    @precondition(lambda self: self.live() and not self.model.ends)
    @rule(name=st.sampled_from(sorted(PLANS)))
    def change_at_the_end(self, name):
        expect = 409 if name == self.model.name else 200
        self.play(self.seller.changes_plan(self.made, name, expect, at="period_end"))
        if expect == 200:
            self.model.next = name

    @precondition(lambda self: self.live() and not self.model.ends)
    @rule()
    def pause(self):
        self.play(self.seller.does("pause", self.made))
        self.play(self.seller.bills())
        self.model.pause()

    @precondition(lambda self: self.model.state == "paused")
    @rule()
    def resume(self):
        self.play(self.seller.does("resume", self.made))
        self.play(self.seller.bills())
        self.model.resume()

    @precondition(live)
    @rule(now=st.booleans())
    def end(self, now):
        body = {"at_period_end": not now, "proration": "create" if now else "none"}
        self.play(self.seller.does("cancel", self.made, body))
        self.play(self.seller.bills())
        if now:
            self.model.end_now()
        else:
            self.model.ends, self.model.next = True, None

    @invariant()
    def what_is_owed_is_billed_or_waits(self):
        if self.model is None:
            return
        shown = self.play(self.seller.state(self.made))
        assert shown["state"] == self.model.state
        assert shown["plan_name"] == self.model.name
        waiting = self.play(self.seller.call("GET", "/v1/invoice_items?waiting=true&limit=200"))
        invoices = self.play(self.seller.invoices())
        billed = sum(invoice["net_minor"] for invoice in invoices)
        waits = sum(item["amount_minor"] for item in waiting["data"])
        assert billed + waits == self.model.owed
        assert all(invoice["total_minor"] >= 0 for invoice in invoices)
        starts = [
            invoice["period_starts_at"] for invoice in invoices if invoice["period_starts_at"]
        ]
        assert len(starts) == len(set(starts))


async def test_a_subscription_lives_as_its_model_does(manual):
    Life.platform, Life.loop = manual, asyncio.get_running_loop()
    machine = Life.TestCase
    machine.settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        # Each step asks a platform; to look for a smaller case would take minutes.
        phases=[Phase.explicit, Phase.generate],
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(machine().runTest)
