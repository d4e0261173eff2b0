"""Holds specs and CRDs against each other over good manifests that were broken at random."""

from copy import deepcopy

from billplane.resources import SpecError, validate_spec
from billplane.resources.beyond_cel import BEYOND_CEL
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.resources.test_crds import CRD, GOOD, manifest_in

MANIFESTS = [manifest_in(path) for path in GOOD]
DECIMALS = ["0", "0.0", "1", "9.5", "1000", "-1", "1e3", "01", "999999999999999999.999999999999"]
WORDS = ["", "EUR", "usd", "x", "a b", "$.a", "$.a.b", "Sum", "Count", "All", "Selector", "15m"]
OTHERS = [True, False, 0, 1, 15, 16, -1, 1.5, [], {}, ["x"], [None], {"name": "a"}, None]
REPLACEMENTS = [*DECIMALS, *WORDS, *OTHERS]


def places(value):
    """Yield every container with each of its keys or indexes."""
    if isinstance(value, dict):
        for key in value:
            yield value, key
            yield from places(value[key])
    elif isinstance(value, list):
        # A grid's hours are alike: its first row and column stand for all.
        for index in range(min(len(value), 3)):
            yield value, index
            yield from places(value[index])


def mutate(draw, document):
    container, key = draw(st.sampled_from(list(places(document))))
    match draw(st.sampled_from(["replace", "remove", "repeat", "rename", "swap"])):
        case "remove":
            del container[key]
        case "repeat" if isinstance(container, list):
            container.append(deepcopy(container[key]))
        case "rename" if isinstance(container, dict):
            container[draw(st.sampled_from(["default", "amount", "extra", "upTo"]))] = (
                container.pop(key)
            )
        case "swap":
            other, at = draw(st.sampled_from(list(places(document))))
            container[key], other[at] = deepcopy(other[at]), deepcopy(container[key])
        case _:
            container[key] = deepcopy(draw(st.sampled_from(REPLACEMENTS)))


@st.composite
def broken(draw):
    manifest = draw(st.sampled_from(MANIFESTS))
    document = deepcopy(manifest.document)
    for _ in range(draw(st.integers(1, 3))):
        if not document:
            break
        mutate(draw, document)
    return manifest.kind, document


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken())
def test_the_spec_refuses_what_the_crd_refuses_and_else_by_a_named_rule_alone(drawn):
    kind, document = drawn
    refused = CRD[kind].refusals(document)
    reasons = set()
    try:
        validate_spec(kind, document)
    except SpecError as error:
        reasons = {violation.reason for violation in error.violations}
    event(f"refused by the CRD: {bool(refused)}, by the spec: {bool(reasons)}")
    if refused:
        assert reasons
    else:
        assert reasons <= BEYOND_CEL.keys()
