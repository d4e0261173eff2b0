"""The period that a subscription is in, and how it moves on."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from billplane.resources.billing_plan import BillingPlanSpec, Interval
from billplane.subscription import domain
from billplane.subscription.models import SubscriptionRow
from billplane.subscription.peers import Plan


def set_period(row: SubscriptionRow, period: domain.Period) -> None:
    """Make a period the subscription's current one."""
    row.period_starts_at, row.period_ends_at = period.starts_at, period.ends_at
    row.nominal_starts_at = period.nominal_starts_at
    row.nominal_ends_at = period.nominal_ends_at


def period_of(row: SubscriptionRow) -> domain.Period:
    """Return the subscription's current period."""
    return domain.Period(
        row.period_starts_at, row.period_ends_at, row.nominal_starts_at, row.nominal_ends_at
    )


def anchor_of(row: SubscriptionRow) -> datetime:
    """Return the instant that periods are counted from."""
    return row.anchor_at or row.billing_starts_at


def period_at(row: SubscriptionRow, at: datetime) -> domain.Period:
    """Return the period of a subscription that an instant falls into."""
    held = period_of(row)
    if held.starts_at <= at < held.ends_at:
        return held
    return domain.period_at(Interval.model_validate(row.interval), anchor_of(row), at)


def segment_starts_at(row: SubscriptionRow) -> datetime:
    """Return since when, within the current period, the subscription is on its plan."""
    if not row.segments:
        return row.period_starts_at
    return domain.Segment.of_json(row.segments[-1]).ends_at


def advance_from(row: SubscriptionRow) -> datetime:
    """Return from when on first fees in advance may be due: the start, or the last resumption."""
    if not row.pauses or row.pauses[-1]["ends_at"] is None:
        return row.billing_starts_at
    return max(row.billing_starts_at, datetime.fromisoformat(row.pauses[-1]["ends_at"]))


def paused_since(row: SubscriptionRow) -> datetime | None:
    """Return when the pause began that a subscription is in."""
    if not row.pauses or row.pauses[-1]["ends_at"] is not None:
        return None
    return datetime.fromisoformat(row.pauses[-1]["starts_at"])


def open_after_pause(row: SubscriptionRow, interval: Interval, in_advance: bool) -> None:
    """Go on from where a pause ends, or hold still until it does.

    The first period afterwards begins at the resumption and ends where it would have ended.
    """
    since = paused_since(row)
    resumed = since or datetime.fromisoformat(row.pauses[-1]["ends_at"])
    found = domain.period_at(interval, anchor_of(row), resumed)
    set_period(row, replace(found, starts_at=resumed))
    row.interval = interval.model_dump(mode="json")
    row.held = since is not None
    row.advance_due = in_advance and not row.held


def take_next_plan(
    row: SubscriptionRow, taken: SubscriptionRow, plan: Plan, following: Plan | None
) -> bool:
    """Put a subscription on the plan, or version, of its next period; False where it keeps its own.

    `taken` is the row as it was when the next period's fees were billed; what came since waits
    for its turn.
    """
    row.interval = plan.spec.interval.model_dump(mode="json")
    if following is None:
        return False
    if taken.next_plan is None:
        version = following.version
        later = row.next_plan_version
        row.plan_version = version
        row.next_plan_version = later if later is not None and later > version else None
        row.dated_versions = [item for item in row.dated_versions if int(item["version"]) > version]
        return True
    put_on_plan(row, following)
    if following.spec.interval != plan.spec.interval:
        row.anchor_at = row.period_starts_at
        row.interval = following.spec.interval.model_dump(mode="json")
    row.dated_versions = list(taken.next_plan.get("dated_versions", []))
    if row.next_plan == taken.next_plan:
        row.next_plan = None
    row.next_plan_version = None
    return True


def next_version(row: SubscriptionRow, starts_at: datetime) -> int | None:
    """Return the version of its plan that a period takes which begins at an instant, if another.

    The newest of those that wait and are in effect by then.
    """
    waiting = [] if row.next_plan_version is None else [row.next_plan_version]
    waiting += [
        int(item["version"])
        for item in row.dated_versions
        if datetime.fromisoformat(item["effective_at"]) <= starts_at
    ]
    return max(waiting, default=None)


def pending_plan(row: SubscriptionRow) -> dict[str, Any] | None:
    """Return the plan of the next period as it is shown, where it is another one."""
    if row.next_plan is None:
        return None
    return {name: row.next_plan[name] for name in ("plan_id", "plan_name", "plan_version")}


def put_on_plan(row: SubscriptionRow, plan: Plan) -> None:
    """Name a plan as the subscription's."""
    row.plan_id, row.plan_name, row.plan_version = plan.id, plan.name, plan.version


def bills_in_advance(spec: BillingPlanSpec) -> bool:
    """True when the plan has fees that are due before their period."""
    return any(
        charge.recurring is not None and charge.recurring.billed == "InAdvance"
        for charge in spec.charges
    )
