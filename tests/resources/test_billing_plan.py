from decimal import Decimal

import pytest
from billplane.resources import BillingPlanSpec, SpecError, validate_spec

GRID = [[0] * 24 for _ in range(12)]


def plan(**changes):
    document = {
        "currency": "EUR",
        "charges": [{"name": "platform", "recurring": {"amount": "49.00"}}],
    }
    return document | changes


def usage(model):
    return plan(charges=[{"name": "calls", "usage": {"meter": "api-calls", "model": model}}])


def violations(document):
    with pytest.raises(SpecError) as caught:
        validate_spec("BillingPlan", document)
    return [(item.field, item.reason) for item in caught.value.violations]


MODEL = "spec.charges[0].usage.model"
TIERS = [{"upTo": "10", "unitAmount": "0.5"}, {"flatAmount": "3", "unitAmount": "0.25"}]
MODELS = {
    "flat": {"amount": "5"},
    "perUnit": {"unitAmount": "0.002"},
    "dynamic": {"amountProperty": "$.amount"},
    "graduated": {"tiers": TIERS},
    "volume": {"tiers": TIERS},
    "graduatedPercentage": {"tiers": [{"upTo": "1000", "rate": "0.03"}, {"rate": "0.02"}]},
    "package": {"size": "1000", "amount": "2", "freeUnits": "500"},
    "capacity": {"included": "100", "amount": "80", "overage": {"unitAmount": "1"}},
    "seats": {"unitAmount": "12"},
    "percentage": {"rate": "0.029", "fixedAmount": "0.30", "freeEvents": 10, "maximum": "5"},
    "matrix": {
        "dimensions": ["origin", "kind"],
        "cells": [{"values": ["JFK", "*"], "unitAmount": "3"}],
        "default": {"unitAmount": "1"},
    },
    "timeOfUse": {
        "timeZone": "Europe/Berlin",
        "periods": [{"name": "off-peak", "tiers": TIERS}, {"name": "peak", "unitAmount": "0.4"}],
        "weekday": [[1] * 24 for _ in range(12)],
        "weekend": GRID,
        "holidays": ["2026-12-25"],
        "tierScope": "MonthProRata",
    },
    "demand": {
        "timeZone": "Europe/Berlin",
        "periods": [{"name": "any", "unitAmount": "9"}],
        "weekday": GRID,
        "weekend": GRID,
    },
    "external": {
        "url": "https://prices.example/spot",
        "response": {"unitAmount": "$.price", "currency": "$.currency"},
        "onFailure": "LastGood",
        "maxAge": "1h",
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_every_charge_model_is_read_and_written_back_unchanged(name):
    spec = BillingPlanSpec.parse(usage({name: MODELS[name]}))
    written = spec.document()["charges"][0]["usage"]["model"]
    assert list(written) == [name]
    assert written[name].items() >= MODELS[name].items()
    assert BillingPlanSpec.parse(spec.document()) == spec
    model = spec.charges[0].usage.model
    assert type(model.chosen).__name__.lower() == name.lower()


def test_defaults_are_filled_in():
    spec = BillingPlanSpec.parse(plan())
    assert (spec.interval.unit, spec.interval.count) == ("Month", 1)
    assert (spec.interval.anchor, spec.interval.time_zone) == ("Anniversary", "Etc/UTC")
    assert spec.charges[0].recurring.billed == "InAdvance"
    assert spec.charges[0].recurring.prorate is True
    assert spec.default is False
    assert spec.deletion_policy == "Retain"
    assert spec.rollout.apply_to == "New"


def test_a_field_that_is_null_counts_as_absent():
    assert BillingPlanSpec.parse(plan(trial=None, interval=None)) == BillingPlanSpec.parse(plan())


def test_prices_are_exact_decimals_and_keep_their_text():
    document = usage({"perUnit": {"unitAmount": "999999999999999999.000000000010"}})
    spec = BillingPlanSpec.parse(document)
    price = spec.charges[0].usage.model.per_unit.unit_amount
    assert price == Decimal("999999999999999999.00000000001")
    assert spec.document()["charges"] == [
        {
            "name": "calls",
            "usage": document["charges"][0]["usage"] | {"filter": [], "groupBy": []},
        }
    ]


def test_a_spec_cannot_be_changed_in_place():
    spec = BillingPlanSpec.parse(plan())
    with pytest.raises(ValueError, match="frozen"):
        spec.currency = "USD"


@pytest.mark.parametrize(
    ("document", "field", "reason"),
    [
        (plan(currency="EUX"), "spec.currency", "CURRENCY_UNKNOWN"),
        (plan(currency="XAU"), "spec.currency", "CURRENCY_UNKNOWN"),
        (plan(charges=[]), "spec.charges", "TOO_SHORT"),
        (plan(trial="two weeks"), "spec.trial", "PATTERN_MISMATCH"),
        (plan(currency=None), "spec.currency", "REQUIRED"),
        (plan(charges=[None]), "spec.charges[0]", "TYPE_MISMATCH"),
        (plan(minimum_commitment="1"), "spec.minimum_commitment", "FIELD_UNKNOWN"),
        (plan(minimumCommitment="-1"), "spec.minimumCommitment", "DECIMAL_INVALID"),
        (plan(minimumCommitment="1\n"), "spec.minimumCommitment", "DECIMAL_INVALID"),
        (plan(minimumCommitment="\u0661"), "spec.minimumCommitment", "DECIMAL_INVALID"),
        (plan(minimumCommitment=100), "spec.minimumCommitment", "NUMBER_NOT_QUOTED"),
        (plan(minimumCommitment=0.1), "spec.minimumCommitment", "NUMBER_NOT_QUOTED"),
        (plan(minimumCommitment=True), "spec.minimumCommitment", "DECIMAL_INVALID"),
        (plan(default="yes"), "spec.default", "TYPE_MISMATCH"),
        (plan(interval={"count": "1"}), "spec.interval.count", "TYPE_MISMATCH"),
        (plan(interval={"timeZone": "Mars/X"}), "spec.interval.timeZone", "TIME_ZONE_UNKNOWN"),
        (plan(charges=[{"name": "x"}]), "spec.charges[0]", "NOT_EXACTLY_ONE"),
        (
            plan(minimumCommitment="2", maximumCharge="1.999999999999"),
            "spec.minimumCommitment",
            "MINIMUM_ABOVE_MAXIMUM",
        ),
        (plan(rollout={"applyTo": "Selector"}), "spec.rollout.selector", "REQUIRED"),
        (
            plan(rollout={"effectiveFrom": "2026-02-30T00:00:00Z"}),
            "spec.rollout.effectiveFrom",
            "DATE_INVALID",
        ),
        (
            plan(alsoPricedIn=[{"currency": "EUR", "rateFeed": "ecb"}]),
            "spec.alsoPricedIn[0].currency",
            "NOT_ALLOWED",
        ),
        (usage({}), MODEL, "NOT_EXACTLY_ONE"),
        (usage({"flat": MODELS["flat"], "seats": MODELS["seats"]}), MODEL, "NOT_EXACTLY_ONE"),
        (
            usage({"graduated": {"tiers": [{"upTo": "5", "unitAmount": "1"}] * 2}}),
            f"{MODEL}.graduated.tiers[1].upTo",
            "LAST_TIER_NOT_OPEN",
        ),
        (
            usage({"volume": {"tiers": [TIERS[0], TIERS[0], TIERS[1]]}}),
            f"{MODEL}.volume.tiers[1].upTo",
            "TIERS_NOT_ASCENDING",
        ),
        (
            usage({"volume": {"tiers": [TIERS[1], TIERS[1]]}}),
            f"{MODEL}.volume.tiers[0].upTo",
            "REQUIRED",
        ),
        (
            usage({"package": {"size": "0.0", "amount": "1"}}),
            f"{MODEL}.package.size",
            "OUT_OF_RANGE",
        ),
        (
            usage({"matrix": MODELS["matrix"] | {"cells": MODELS["matrix"]["cells"] * 2}}),
            f"{MODEL}.matrix.cells[1].values",
            "DUPLICATE",
        ),
        (
            usage({"timeOfUse": MODELS["timeOfUse"] | {"weekend": [[2] * 24, *GRID[1:]]}}),
            f"{MODEL}.timeOfUse.weekend[0][0]",
            "PERIOD_UNKNOWN",
        ),
        (
            usage({"timeOfUse": MODELS["timeOfUse"] | {"weekend": GRID[1:]}}),
            f"{MODEL}.timeOfUse.weekend",
            "TOO_SHORT",
        ),
        (
            usage({"timeOfUse": MODELS["timeOfUse"] | {"holidays": ["2026-02-30"]}}),
            f"{MODEL}.timeOfUse.holidays[0]",
            "DATE_INVALID",
        ),
        (
            usage({"external": MODELS["external"] | {"url": "https://user:pw@host/"}}),
            f"{MODEL}.external.url",
            "URL_INVALID",
        ),
        ([], "spec", "TYPE_MISMATCH"),
        (None, "spec", "TYPE_MISMATCH"),
    ],
)
def test_a_wrong_plan_is_refused_with_field_and_reason(document, field, reason):
    assert (field, reason) in violations(document)


def test_tiers_are_compared_exactly_where_binary_fractions_would_tie():
    ends = ["0.1", "100000000000000000.1", "100000000000000000.2"]
    tiers = [{"upTo": end, "unitAmount": "1"} for end in ends] + [{"unitAmount": "1"}]
    spec = BillingPlanSpec.parse(usage({"graduated": {"tiers": tiers}}))
    assert [tier.up_to for tier in spec.charges[0].usage.model.graduated.tiers][-1] is None
    tiers[1], tiers[2] = tiers[2], tiers[1]
    assert violations(usage({"graduated": {"tiers": tiers}})) == [
        (f"{MODEL}.graduated.tiers[2].upTo", "TIERS_NOT_ASCENDING")
    ]


def test_every_violation_is_reported_at_once():
    document = plan(currency="euro", charges=[{"name": "A", "recurring": {"amount": 49}}])
    assert violations(document) == [
        ("spec.currency", "PATTERN_MISMATCH"),
        ("spec.charges[0].name", "PATTERN_MISMATCH"),
        ("spec.charges[0].recurring.amount", "NUMBER_NOT_QUOTED"),
    ]


def test_a_boolean_where_text_is_meant_explains_yaml():
    with pytest.raises(SpecError, match="YAML takes yes, no, on and off for booleans"):
        validate_spec("BillingPlan", plan(displayName=False))


def test_nesting_without_end_is_refused_not_followed():
    deep = leaf = {}
    for _ in range(5000):
        leaf["rollout"] = leaf = {}
    assert [reason for _, reason in violations(plan(rollout=deep))] == ["TOO_DEEP"]


def test_a_field_path_is_also_a_json_pointer():
    with pytest.raises(SpecError) as caught:
        validate_spec("BillingPlan", plan(charges=[{"name": "x", "recurring": {}}]))
    assert caught.value.violations[0].pointer == "/spec/charges/0/recurring/amount"
