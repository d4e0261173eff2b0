"""Plans of the operator, as pure functions: what is wanted and what is, to actions."""

from dataclasses import replace

import pytest
from billplane.resources import spec_hash, validate_spec
from billplane_operator.kinds import (
    RULES,
    Actual,
    Applied,
    Apply,
    DeleteChild,
    Desired,
    EnsureChild,
    Key,
    Probe,
    Provided,
    Refresh,
    Remove,
    SimulatorImage,
    plan_removal,
)
from billplane_operator.kinds.billing_plan import APPROVAL_CHARACTERS
from billplane_operator.specs import simulator
from billplane_operator.specs.comparing import matches
from hypothesis import given
from hypothesis import strategies as st

from tests.operator.folder import FEED, METER, PLAN

SPECS = {"BillingPlan": PLAN, "Meter": METER, "ExchangeRateFeed": FEED}
KINDS = st.sampled_from(sorted(SPECS))
PAUSED = {"billplane.io/reconcile": "paused"}
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


@pytest.mark.parametrize(
    ("held", "digest", "expected"),
    [
        (None, "new", ["Apply", "Provide", "Refresh"]),
        (None, "", ["Apply", "Refresh"]),
        ("", "new", ["Provide", "Refresh"]),
        ("old", "new", ["Provide", "Refresh"]),
        ("old", "", ["Provide", "Refresh"]),
        ("new", "new", []),
        ("old", None, []),
    ],
)
def test_a_feed_is_handed_what_its_service_lacks_and_fetched_then(held, digest, expected):
    provided = None if digest is None else Provided(digest)
    wanted = replace(desired("ExchangeRateFeed"), provided=provided)
    applied = replace(runs(wanted).applied, source_digest=held or "")
    actual = Actual() if held is None else Actual(applied, {"rateCount": 1})
    actions = RULES["ExchangeRateFeed"].plan(wanted, actual)
    assert [type(action).__name__ for action in actions] == expected
    assert RULES["ExchangeRateFeed"].plan(replace(wanted, annotations=PAUSED), actual) == []


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


PROVIDER = {"category": "Gas", "country": "DE", "currency": "EUR", "timeZone": "Europe/Berlin"}
IMAGE = SimulatorImage("billplane:1", "IfNotPresent")


@st.composite
def providers(draw):
    """A provider as somebody may have written it, at any generation."""
    on = draw(st.booleans())
    spec = {"simulator": {"enabled": on, "accounts": draw(st.integers(1, 50))}}
    if not on:
        spec["connection"] = {"json": {"baseURL": "https://gas.example"}}
    parsed = validate_spec("UtilityProvider", PROVIDER | spec)
    key = Key("default", "UtilityProvider", draw(st.sampled_from(["north", "n" * 63])))
    return Desired(
        key, "uid-1", parsed, spec_hash(parsed),
        generation=draw(st.integers(1, 9)), simulator=draw(st.sampled_from([IMAGE, None])),
    )  # fmt: skip


@st.composite
def provider_actuals(draw, wanted):
    """Whatever may be found: children left over, missing or edited, another spec applied."""
    children = {}
    for document in simulator.documents(replace(wanted, simulator=IMAGE)):
        name = (document["kind"], document["metadata"]["name"])
        match draw(st.sampled_from(["missing", "same", "edited", "defaulted"])):
            case "same":
                children[name] = document
            case "edited":
                children[name] = document | {"spec": {}}
            case "defaulted":
                added = {"clusterIP": "10.0.0.1"}
                children[name] = document | {"spec": document["spec"] | added, "status": {}}
    if draw(st.booleans()):
        children["Deployment", "simulator-of-another-time"] = {"spec": {}}
    if draw(st.booleans()):
        return Actual(children=children)
    applied = Applied(
        "up_1",
        draw(st.integers(1, 9)),
        draw(st.integers(0, 3)),
        draw(st.sampled_from([wanted.spec_hash, "0" * 64])),
        draw(st.sampled_from(["", simulator.endpoint_of(wanted)])),
    )
    return Actual(applied, {"probeDue": draw(st.booleans())}, children)


@given(st.data())
def test_a_providers_plan_ends_where_children_and_registration_are_as_asked(data):
    wanted = data.draw(providers())
    rules, actual = RULES["UtilityProvider"], data.draw(provider_actuals(wanted))
    for action in rules.plan(wanted, actual):
        match action:
            case EnsureChild(document):
                name = (document["kind"], document["metadata"]["name"])
                assert not matches(document, actual.children.get(name))
                actual = replace(actual, children={**actual.children, name: document})
            case DeleteChild(name):
                left = {key: item for key, item in actual.children.items() if key != name}
                actual = replace(actual, children=left)
            case Apply(generation, endpoint):
                assert generation == wanted.generation
                applied = Applied("up_1", generation, 1, wanted.spec_hash, endpoint)
                actual = replace(actual, applied=applied, details={})
            case Probe():
                actual = replace(actual, details={})
    assert rules.plan(wanted, replace(actual, details={})) == []
    running = {kind for kind, _ in actual.children}
    asked = wanted.simulator is not None and wanted.spec.simulator.enabled
    assert running == ({"Deployment", "Service", "NetworkPolicy"} if asked else set())
    assert all(len(name) <= 63 for _, name in actual.children)


@given(st.data())
def test_a_generation_of_the_api_server_is_applied_as_it_is(data):
    wanted = replace(desired(data.draw(KINDS)), generation=data.draw(st.integers(1, 50)))
    actual = data.draw(actuals(wanted))
    generations = [
        action.generation
        for action in RULES[wanted.key.kind].plan(wanted, actual)
        if isinstance(action, Apply)
    ]
    current = actual.applied is not None and (
        (actual.applied.generation, actual.applied.spec_hash)
        == (wanted.generation, wanted.spec_hash)
    )
    assert generations == ([] if current else [wanted.generation])


def test_an_approved_version_that_somebody_damaged_is_mended_without_asking_again():
    rollout = {"requireApproval": True, "applyTo": "All"}
    wanted = replace(desired("BillingPlan", rollout=rollout), generation=4)
    damaged = Actual(Applied("id_1", 4, 0, ""))
    assert RULES["BillingPlan"].plan(wanted, damaged) == [Apply(4)]
    assert RULES["BillingPlan"].plan(wanted, Actual(Applied("id_1", 3, 0, "0" * 64))) == []


def test_a_missing_secret_is_told_by_every_condition_that_depends_on_it():
    spec = validate_spec(
        "UtilityProvider", PROVIDER | {"connection": {"json": {"baseURL": "https://gas.example"}}}
    )
    key = Key("default", "UtilityProvider", "gas")
    wanted = Desired(key, "u", spec, spec_hash(spec), secrets_missing=["Secret gas"])
    actual = Actual(Applied("up_1", 1, 0, wanted.spec_hash))
    found = {item.type: item for item in RULES["UtilityProvider"].conditions(wanted, actual)}
    assert found["Ready"].reason == found["CredentialsValid"].reason == "SecretMissing"
    assert found["Registered"].status == "True"


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": []}, {}, True),
        ({"a": {}}, {}, False),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}, True),
        ({"a": 1}, None, False),
    ],
)
def test_what_others_added_is_no_difference_but_in_lists(wanted, found, same):
    assert matches(wanted, found) is same
