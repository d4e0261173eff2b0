"""Plans of the operator, as pure functions: what is wanted and what is, to actions."""

from dataclasses import replace

import pytest
from billplane.resources import spec_hash, validate_spec
from billplane_operator.kinds import (
    RULES,
    Actual,
    Applied,
    Apply,
    Desired,
    Key,
    Refresh,
    Remove,
    plan_removal,
)
from billplane_operator.kinds.billing_plan import APPROVAL_CHARACTERS
from hypothesis import given
from hypothesis import strategies as st

from tests.operator.folder import FEED, METER, PLAN

SPECS = {"BillingPlan": PLAN, "Meter": METER, "ExchangeRateFeed": FEED}
KINDS = st.sampled_from(sorted(SPECS))
HASHES = st.sampled_from(["", "0" * 64, "same"])


def desired(kind, annotations=None, **fields):
    spec = validate_spec(kind, SPECS[kind] | fields)
    key = Key("default", kind, "one")
    return Desired(key, key.uid, spec, spec_hash(spec), annotations or {})


def runs(wanted):
    """What is once an Apply went well."""
    applied = Applied("id_1", 3, 0, wanted.spec_hash)
    return Actual(applied, {"rateCount": 1, "version": 3})


@st.composite
def actuals(draw, wanted):
    if draw(st.booleans()):
        return Actual()
    found = draw(HASHES)
    generation = draw(st.integers(1, 50))
    applied = Applied("id_1", generation, 0, wanted.spec_hash if found == "same" else found)
    details = {"rateCount": draw(st.integers(0, 2)), "error": draw(st.sampled_from(["", "no"]))}
    return Actual(applied, details)


@given(st.data())
def test_a_plan_ends_where_the_service_runs_the_spec(data):
    wanted = desired(data.draw(KINDS))
    rules = RULES[wanted.key.kind]
    actual = data.draw(actuals(wanted))
    for action in rules.plan(wanted, actual):
        if isinstance(action, Apply):
            before = actual.applied.generation if actual.applied else 0
            assert action.generation == before + 1
            applied = Applied("id_1", action.generation, 0, wanted.spec_hash)
            actual = Actual(applied, {"rateCount": 0})
        if isinstance(action, Refresh):
            actual = replace(actual, details={"rateCount": 1})
    assert actual.applied.spec_hash == wanted.spec_hash
    assert rules.plan(wanted, actual) == []


@given(st.data())
def test_the_conditions_of_a_kind_are_all_told_and_ready_agrees_with_what_runs(data):
    wanted = desired(data.draw(KINDS))
    rules = RULES[wanted.key.kind]
    actual = data.draw(actuals(wanted))
    found = {item.type: item for item in rules.conditions(wanted, actual)}
    assert set(found) == set(rules.condition_types)
    if found["Ready"].status == "True":
        assert actual.applied.spec_hash == wanted.spec_hash


@given(st.data())
def test_a_paused_resource_is_never_acted_upon(data):
    wanted = desired(data.draw(KINDS), {"billplane.io/reconcile": "paused"})
    assert RULES[wanted.key.kind].plan(wanted, data.draw(actuals(wanted))) == []


@pytest.mark.parametrize("kind", sorted(SPECS))
def test_nothing_is_done_where_nothing_differs(kind):
    wanted = desired(kind)
    assert RULES[kind].plan(wanted, runs(wanted)) == []
    ready = RULES[kind].conditions(wanted, runs(wanted))[0]
    assert (ready.type, ready.status) == ("Ready", "True")


@pytest.mark.parametrize(
    ("details", "digest", "expected"),
    [
        ({"rateCount": 1}, "", []),
        ({"rateCount": 0}, "", [Refresh()]),
        ({"rateCount": 0, "error": "FETCH_FAILED: no"}, "", []),
        ({"rateCount": 1, "sourceDigest": "old"}, "new", [Refresh()]),
        ({"rateCount": 1, "sourceDigest": "new"}, "new", []),
    ],
)
def test_a_feed_is_fetched_at_first_and_when_its_file_changed(details, digest, expected):
    wanted = replace(desired("ExchangeRateFeed"), source_digest=digest)
    actual = Actual(runs(wanted).applied, details)
    assert RULES["ExchangeRateFeed"].plan(wanted, actual) == expected


@pytest.mark.parametrize("apply_to", ["New", "All"])
def test_only_versions_that_reach_subscribers_wait_for_approval(apply_to):
    rules = RULES["BillingPlan"]
    rollout = {"requireApproval": True, "applyTo": apply_to}
    wanted = desired("BillingPlan", rollout=rollout)
    before = Actual(Applied("id_1", 1, 0, "0" * 64))
    assert rules.plan(wanted, Actual()) == [Apply(1)]
    if apply_to == "New":
        assert rules.plan(wanted, before) == [Apply(2)]
        return
    assert rules.plan(wanted, before) == []
    for given_approval in ("", "true", wanted.spec_hash[:4]):
        kept = replace(wanted, annotations={"billplane.io/approve": given_approval})
        assert rules.plan(kept, before) == []
    approval = {"billplane.io/approve": wanted.spec_hash[:APPROVAL_CHARACTERS]}
    assert rules.plan(replace(wanted, annotations=approval), before) == [Apply(2)]


def test_what_no_service_has_needs_no_removal():
    assert plan_removal(Actual(), "Delete") == []
    applied = Applied("id_1", 4, 0, "0" * 64)
    assert plan_removal(Actual(applied), "Delete") == [Remove(4, "Delete")]


def test_a_uid_is_the_same_for_the_same_name_everywhere():
    assert Key("default", "Meter", "api-calls").uid == "5db0f9cb-51dc-591b-ac8a-ea45aee6217c"
    assert Key("other", "Meter", "api-calls").uid != Key("default", "Meter", "api-calls").uid
