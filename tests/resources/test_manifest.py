import contextlib
from decimal import Decimal

import pytest
import yaml
from billplane.resources.manifest import ManifestError, read_manifests
from billplane.resources.yaml_reader import YamlError, read_documents
from hypothesis import given, settings
from hypothesis import strategies as st

PLAN = """\
# a plan
apiVersion: billplane.io/v1alpha1
kind: BillingPlan
metadata:
  name: pro
  namespace: acme
  annotations: {billplane.io/adopt: "true"}
spec:
  currency: EUR
  charges:
  - name: platform
    recurring: {amount: "49.00"}
  - name: calls
    usage:
      meter: api-calls
      model:
        graduated:
          tiers:
          - {upTo: "1000", unitAmount: "0"}
          - {unitAmount: "0.002"}
"""


def read(text):
    (document,) = read_documents(text)
    return document.data


def errors(text):
    with pytest.raises(ManifestError) as caught:
        [manifest.read_spec() for manifest in read_manifests(text, "plans.yaml")]
    return str(caught.value).splitlines()


@pytest.mark.parametrize("word", ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "TRUE"])
def test_words_for_yes_are_true(word):
    assert read(f"a: {word}") == {"a": True}


@pytest.mark.parametrize("word", ["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false"])
def test_words_for_no_are_false(word):
    assert read(f"a: {word}") == {"a": False}


@pytest.mark.parametrize("word", ["", "~", "null", "Null", "NULL"])
def test_words_for_nothing_are_null(word):
    assert read(f"a: {word}\nb: 1") == {"a": None, "b": 1}


@pytest.mark.parametrize(
    "text",
    [
        *("2026-04-01", "2026-04-01T00:00:00Z", "2026-04-01 10:00:00", "15:30", "190:20:30"),
        *("1.2.3", "0 */6 * * *", "yEs", "nO", "tRUE", "nULL", "=", "1,000", "0x", "1e"),
        *("+", "-1-", ".", "1e999"),
    ],
)
def test_dates_and_times_and_other_words_stay_text(text):
    assert read(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("17", 17),
        ("-17", -17),
        ("+17", 17),
        ("1_000", 1000),
        ("010", 8),
        ("0o10", 8),
        ("08", 8),
        ("0x1F", 31),
        ("0b101", 5),
        ("1.0", 1),
        ("1e3", 1000),
        ("0.10", Decimal("0.10")),
        (".5", Decimal("0.5")),
        ("-1.5e-3", Decimal("-0.0015")),
        ("0.1000000000000000000001", Decimal("0.1000000000000000000001")),
    ],
)
def test_numbers_are_read_as_kubectl_reads_them(text, value):
    found = read(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ['"17"', "'NO'", "!!str 17", "|-\n  17"])
def test_what_is_quoted_or_tagged_as_text_is_text(text):
    assert isinstance(read(f"a: {text}")["a"], str)


@pytest.mark.parametrize(
    "text", ["!!binary aGk=", "!!python/name:os.system x", "!!int text", "!x {}"]
)
def test_other_tags_are_refused(text):
    with pytest.raises(YamlError, match="TAG_NOT_ALLOWED"):
        read_documents(f"a: {text}")


@pytest.mark.parametrize("text", [".nan", ".inf", "-.INF"])
def test_numbers_that_json_does_not_have_are_refused(text):
    with pytest.raises(YamlError, match="NUMBER_INVALID"):
        read_documents(f"a: {text}")


def test_keys_become_text_and_merges_are_followed():
    assert read("1: a\non: b") == {"1": "a", "true": "b"}
    text = "base: &base {x: 1, y1: 2}\nmore: {<<: *base, x: 3}"
    assert read(text)["more"] == {"x": 3, "y1": 2}


def test_a_field_given_twice_is_refused_with_both_lines():
    with pytest.raises(YamlError, match="line 3: b: is given twice, first in line 2"):
        read_documents("a: 1\nb: 2\nb: 3\n")


def test_text_that_is_not_yaml_is_refused_with_its_line():
    assert errors("a: 1\nb: [1, 2\n") == [
        "plans.yaml:3: is not YAML: expected ',' or ']', but got '<stream end>' (YAML_INVALID)"
    ]
    assert "YAML_INVALID" in errors("a: \x00")[0]


def test_aliases_cannot_grow_without_end():
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(YamlError, match="TOO_LONG"):
        read_documents("\n".join(rows))


@pytest.mark.parametrize("text", ["[" * 20000, "a: &a [*a]", "&a {<<: *a}"])
def test_nesting_without_end_is_refused(text):
    with pytest.raises(YamlError):
        read_documents(text)


def test_a_manifest_has_its_names_and_its_spec():
    (manifest,) = read_manifests(PLAN, "plans.yaml")
    assert (manifest.kind, manifest.name, manifest.namespace) == ("BillingPlan", "pro", "acme")
    assert manifest.annotations == {"billplane.io/adopt": "true"}
    assert manifest.line == 2
    assert manifest.read_spec().charges[0].name == "platform"


def test_an_error_names_file_line_field_and_reason():
    text = PLAN.replace('"1000"', "1000").replace('"49.00"', "49.00").replace("EUR", "EUX")
    assert errors(text) == [
        "plans.yaml:9: spec.currency: 'EUX' is not an ISO 4217 currency code (CURRENCY_UNKNOWN)",
        "plans.yaml:12: spec.charges[0].recurring.amount: "
        'must be text: put the number in quotes, "49" (NUMBER_NOT_QUOTED)',
        "plans.yaml:19: spec.charges[1].usage.model.graduated.tiers[0].upTo: "
        'must be text: put the number in quotes, "1000" (NUMBER_NOT_QUOTED)',
    ]


def test_a_missing_field_is_reported_at_the_object_that_lacks_it():
    assert errors(PLAN.replace("meter: api-calls", "filter: []")) == [
        "plans.yaml:14: spec.charges[1].usage.meter: is required (REQUIRED)"
    ]


def test_country_norway_without_quotes_is_explained():
    text = PLAN.replace("currency: EUR", "currency: EUR\n  displayName: NO")
    assert "YAML takes yes, no, on and off for booleans" in errors(text)[0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("kind: BillingPlan", "kind: Plan", "plans.yaml:3: kind: must be one of BillingPlan"),
        ("v1alpha1", "v1", "plans.yaml:2: apiVersion: must be billplane.io/v1alpha1"),
        ("name: pro", "name: Pro Plan", "plans.yaml:5: metadata.name: must be 1 to 63"),
        ("name: pro", "naem: pro", "plans.yaml:5: metadata.naem: is not a field"),
        ('"true"', "true", "plans.yaml:7: metadata.annotations.billplane.io/adopt: must be text"),
        ("\nspec:", "\nspce:", "plans.yaml:8: spce: is not a field of a resource"),
        (PLAN, "just text", "plans.yaml:1: must be an object with apiVersion and kind"),
    ],
)
def test_a_wrong_envelope_is_refused_with_its_line(old, new, expected):
    assert any(line.startswith(expected) for line in errors(PLAN.replace(old, new)))


def test_several_documents_and_lists_are_taken_apart_with_their_own_lines():
    listed = "kind: List\nitems:\n" + "".join(
        f"{'- ' if i == 0 else '  '}{line}\n"
        for i, line in enumerate(PLAN.splitlines()[1:])
        if line
    )
    manifests = read_manifests(f"---\n{PLAN}---\n# nothing here\n---\n{listed}", "all.yaml")
    assert [manifest.line for manifest in manifests] == [3, 27]
    assert manifests[1].lines["spec.currency"] == 34


def test_what_the_api_server_adds_is_passed_over():
    text = PLAN.replace("name: pro", "name: pro\n  uid: x\n  generation: 3") + "status: {}\n"
    assert len(read_manifests(text, "x")) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=15,
)


@settings(max_examples=100)
@given(st.dictionaries(st.text(max_size=8), json_values, min_size=1))
def test_whatever_is_written_quoted_is_read_back(data):
    dumped = yaml.safe_dump(data, default_style='"', allow_unicode=False)
    assert read(dumped) == data


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=60))
def test_any_text_is_read_or_refused_but_never_breaks(text):
    with contextlib.suppress(YamlError):
        assert all(document.line >= 1 for document in read_documents(text))
