"""Holds the specs against the CRDs over a corpus of good and bad manifests.

A bad manifest says in its first lines whether the CRD refuses it, and which field the spec names
with which reason.
"""

import re
from copy import deepcopy
from pathlib import Path

import pytest
from billplane.resources import KINDS, SpecError, spec_hash, validate_change, validate_spec
from billplane.resources.beyond_cel import BEYOND_CEL
from billplane.resources.manifest import ManifestError, read_manifests
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resources.crd_schema import CRDS, Crd

CORPUS = Path(__file__).parent / "corpus"
GOOD = sorted(CORPUS.glob("good/*/*.yaml"))
BAD = sorted(CORPUS.glob("bad/*/*.yaml"))
CRD = {kind.name: Crd(kind.plural) for kind in KINDS.values()}


def name_of(path):
    return f"{path.parent.name}/{path.stem}"


def manifest_in(path):
    (manifest,) = read_manifests(path.read_text(), name_of(path))
    return manifest


def expectation(path):
    says = dict(re.findall(r"^# (crd|field|reason): (\S+)$", path.read_text(), re.MULTILINE))
    assert says.keys() == {"crd", "field", "reason"}
    return says


def nodes(schema, path="spec"):
    yield path, schema
    for key, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{key}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


@pytest.mark.parametrize("path", GOOD, ids=name_of)
def test_a_good_manifest_is_accepted_by_the_crd_and_the_spec(path):
    manifest = manifest_in(path)
    crd = CRD[manifest.kind]
    assert crd.refusals(manifest.document) == []
    spec = manifest.read_spec()
    assert validate_spec(manifest.kind, spec.document()) == spec
    assert crd.refusals(spec.document()) == []


@pytest.mark.parametrize("path", GOOD, ids=name_of)
def test_the_crds_defaults_are_the_specs_defaults(path):
    manifest = manifest_in(path)
    defaulted = CRD[manifest.kind].defaulted(manifest.document)
    as_stored = validate_spec(manifest.kind, defaulted)
    assert as_stored.document() == manifest.read_spec().document()
    assert spec_hash(as_stored) == spec_hash(manifest.read_spec())


@pytest.mark.parametrize("path", BAD, ids=name_of)
def test_a_bad_manifest_is_refused_by_the_spec_with_its_field_and_reason(path):
    says = expectation(path)
    manifest = manifest_in(path)
    with pytest.raises(ManifestError) as caught:
        manifest.read_spec()
    found = [(item.violation.field, item.violation.reason) for item in caught.value.located]
    assert (says["field"], says["reason"]) in found


@pytest.mark.parametrize("path", BAD, ids=name_of)
def test_what_the_crd_lets_through_is_refused_by_a_rule_that_is_named(path):
    says = expectation(path)
    manifest = manifest_in(path)
    refused = CRD[manifest.kind].refusals(manifest.document)
    assert says["crd"] == ("refuses" if refused else "accepts")
    if not refused:
        assert says["reason"] in BEYOND_CEL


def test_every_rule_beyond_the_crds_has_a_manifest():
    shown = {expectation(path)["reason"] for path in BAD if expectation(path)["crd"] == "accepts"}
    # YAML has one kind of number, so this one can only come as JSON: the next test.
    assert shown | {"TYPE_MISMATCH"} == set(BEYOND_CEL)


def test_an_integer_with_a_point_is_an_integer_to_the_crd_alone():
    manifest = manifest_in(CORPUS / "good/BillingPlan/smallest.yaml")
    document = manifest.document | {"interval": {"count": 1.0}}
    assert CRD["BillingPlan"].refusals(document) == []
    with pytest.raises(SpecError, match=r"spec\.interval\.count.*TYPE_MISMATCH"):
        validate_spec("BillingPlan", document)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_enough_manifests(kind):
    assert sum(path.parent.name == kind for path in GOOD) >= 5
    assert sum(path.parent.name == kind for path in BAD) >= 40


@pytest.mark.parametrize("kind", KINDS)
def test_what_may_not_change_is_the_same_for_crd_and_spec(kind):
    before = manifest_in(next(path for path in GOOD if path.parent.name == kind)).read_spec()
    properties = CRD[kind].spec_schema["properties"]
    immutable = {
        name
        for name, schema in properties.items()
        for rule in schema.get("x-kubernetes-validations", ())
        if rule["rule"] == "self == oldSelf"
    }
    assert immutable == set(KINDS[kind].immutable)
    other = {"currency": "CHF", "base": "CHF", "category": "Waste"}
    for name in immutable:
        after = deepcopy(before.document()) | {name: other[name]}
        assert CRD[kind].refusals(after, old=before.document())
        with pytest.raises(SpecError, match=rf"spec\.{name}.*IMMUTABLE"):
            validate_change(kind, before, validate_spec(kind, after))
    validate_change(kind, before, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_crd_has_the_names_of_its_kind(kind):
    crd = CRD[kind]
    assert crd.document["metadata"]["name"] == f"{KINDS[kind].plural}.billplane.io"
    assert crd.names["kind"] == kind
    assert crd.names["plural"] == KINDS[kind].plural
    assert crd.names["shortNames"] == [KINDS[kind].short_name]
    assert crd.names["categories"] == ["billplane"]
    assert crd.document["spec"]["scope"] == "Namespaced"
    assert crd.version["subresources"] == {"status": {}}
    assert "conditions" in crd.schema["properties"]["status"]["properties"]
    columns = [column["name"] for column in crd.version["additionalPrinterColumns"]]
    assert columns[:2] == ["Ready", "Reason"]
    assert columns[-1] == "Age"


def test_there_is_one_crd_for_each_kind_and_no_other():
    assert {path.stem for path in CRDS.iterdir()} == {kind.plural for kind in KINDS.values()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described_and_bounded(kind):
    for path, schema in nodes(CRD[kind].spec_schema):
        assert schema.get("description", "").endswith("."), path
        if schema["type"] == "string":
            assert "maxLength" in schema or "enum" in schema, path
        elif schema["type"] == "array":
            assert "maxItems" in schema, path
            assert "x-kubernetes-list-type" in schema or path.endswith("[]"), path
        elif schema["type"] == "integer":
            assert schema.keys() >= {"minimum", "maximum"}, path
        assert schema["type"] != "number", path


@pytest.mark.parametrize("kind", KINDS)
def test_the_crd_has_the_fields_of_the_spec_and_no_other(kind):
    def fields(model, path="spec"):
        for name, field in model.model_fields.items():
            below = f"{path}.{field.alias or name}"
            yield below
            for inner in models_in(field.annotation):
                yield from fields(inner, below)

    def models_in(annotation):
        if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
            yield annotation
        for argument in getattr(annotation, "__args__", ()):
            yield from models_in(argument)

    in_crd = {
        path.replace("[]", "")
        for path, schema in nodes(CRD[kind].spec_schema)
        if path != "spec" and not path.endswith("[]")
    }
    assert in_crd == set(fields(KINDS[kind].spec))


def shuffled(draw, value):
    if isinstance(value, dict):
        keys = draw(st.permutations(sorted(value)))
        return {key: shuffled(draw, value[key]) for key in keys}
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [shuffled(draw, item) for item in value]
    return value


@st.composite
def same_spec_otherwise_written(draw):
    """A good manifest, its keys in any order, and any of its defaults left out or filled in."""
    manifest = manifest_in(draw(st.sampled_from(GOOD)))
    filled = manifest.read_spec().document()
    written = deepcopy(draw(st.sampled_from([manifest.document, filled])))
    for name in sorted(filled.keys() - manifest.document.keys()):
        if name in written and draw(st.booleans()):
            del written[name]
    return manifest, shuffled(draw, written)


@settings(max_examples=60, deadline=None)
@given(same_spec_otherwise_written())
def test_the_hash_depends_neither_on_the_order_of_keys_nor_on_defaults_written_out(drawn):
    manifest, otherwise = drawn
    assert spec_hash(validate_spec(manifest.kind, otherwise)) == spec_hash(manifest.read_spec())


def test_two_specs_that_differ_have_two_hashes():
    hashes = {spec_hash(manifest_in(path).read_spec()) for path in GOOD}
    assert len(hashes) == len(GOOD)


def test_the_hash_is_the_one_that_running_services_have_stored():
    # A changed value here means that every stored plan is applied anew: only ever on purpose.
    spec = manifest_in(CORPUS / "good/BillingPlan/smallest.yaml").read_spec()
    assert spec_hash(spec) == "c09989a0bc6bbf2ba8bceff0dec4600539a43251a09fe0538d8818c9ed0d4e72"
