"""The guide to prices: each example is valid, and comes to what it says."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from billplane.pricing import domain
from billplane.resources import BillingPlanSpec
from billplane.resources.yaml_reader import read_documents

GUIDE = Path("docs/guides/pricing.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- (.+?) -->\n```yaml\n(.*?)```", GUIDE, re.DOTALL))
AT = datetime(2026, 1, 15, 12, tzinfo=UTC)


def spec_of(text):
    """Read an example; one that is only a model becomes a plan of one charge."""
    document = read_documents(text)[0].data
    if "model" in document:
        usage = {"meter": "calls", "model": document["model"]}
        document = {"currency": "EUR", "charges": [{"name": "calls", "usage": usage}]}
    return BillingPlanSpec.parse(document)


@pytest.mark.parametrize("claim", EXAMPLES)
def test_an_example_is_a_plan(claim):
    spec_of(EXAMPLES[claim])


@pytest.mark.parametrize("claim", [claim for claim in EXAMPLES if "=" in claim])
def test_an_example_comes_to_what_it_says(claim):
    _, given, amount = re.fullmatch(r"(\w+): (.*) = ([0-9.]+)", claim).groups()
    quantity, *pairs = given.split()
    said = dict(pair.split("=") for pair in pairs)
    at = datetime.fromisoformat(said.pop("at", AT.isoformat())).astimezone(UTC)
    spec = spec_of(EXAMPLES[claim])
    period = domain.period_at(spec.interval, at)
    usage = domain.quoted_usage(spec, [domain.Item("calls", quantity, said)], period, at)

    lines = domain.rate_period(
        spec, starts_at=period.starts_at, ends_at=period.ends_at, usage=usage, nominal=period
    )

    assert sum(line.exact_amount for line in lines) == Decimal(amount)


def test_every_model_has_an_example():
    shown = {claim.split(":")[0] for claim in EXAMPLES}
    assert {
        *("perUnit", "flat", "graduated", "volume", "package", "capacity", "seats", "matrix"),
        *("percentage", "graduatedPercentage", "dynamic", "timeOfUse", "demand", "external"),
    } <= shown
