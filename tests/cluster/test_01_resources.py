"""What a user of kubectl does with each kind: create, change, err, look, delete."""

import re
from pathlib import Path

import pytest
import yaml

from tests.cluster.kube import CommandFailed, eventually
from tests.cluster.samples import SAMPLES

CORPUS = Path(__file__).parents[1] / "resources" / "corpus"
KINDS = [sample.kind for sample in SAMPLES]


@pytest.mark.parametrize("sample", SAMPLES, ids=KINDS)
def test_each_kind_is_created_changed_refused_and_deleted(kube, namespace, sample):
    kind, name = sample.kind.lower(), f"sample-{sample.kind.lower()}"
    kube.apply(sample.document(name), namespace=namespace)
    kube.wait_ready(kind, name, namespace, 90)

    table = kube.kubectl("get", kind, name, namespace=namespace)
    header, row = table.strip().splitlines()[:2]
    assert set(sample.columns) <= set(header.split()), header
    assert "True" in row

    kube.apply(sample.document(name, **sample.change), namespace=namespace)
    eventually(
        lambda: kube.condition(kind, name, namespace).get("status") == "True",
        60,
        lambda: str(kube.resource(kind, name, namespace).get("status")),
    )

    with pytest.raises(CommandFailed, match=re.escape(sample.refused)):
        kube.apply(
            sample.document(name, **{**sample.change, **sample.invalid}), namespace=namespace
        )

    before = kube.resource(kind, name, namespace)
    children = versions(kube, namespace)
    kube.apply(sample.document(name, **sample.change), namespace=namespace)
    after = kube.resource(kind, name, namespace)
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert versions(kube, namespace) == children

    kube.kubectl("delete", kind, name, "--timeout=60s", namespace=namespace, seconds=90)
    assert kube.items(sample.plural, namespace=namespace) == []


def versions(kube, namespace):
    """Give the resourceVersion of everything that the operator made in a namespace.

    Of a Deployment its generation: its status changes by itself.
    """
    found = {}
    for what in ("deployments", "services", "networkpolicies"):
        for item in kube.items(what, namespace=namespace):
            own = item["metadata"]
            version = own["generation"] if what == "deployments" else own["resourceVersion"]
            found[what, own["name"]] = version
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=KINDS)
def test_kubectl_explains_every_field(kube, sample):
    said = kube.kubectl("explain", f"{sample.plural}.spec")
    fields = re.findall(r"^  (\w+)\t<", said, re.MULTILINE)
    assert len(fields) >= 4, said
    undescribed = [
        name
        for name in fields
        if not re.search(rf"^  {name}\t<.*\n(  enum:.*\n)?    \S", said, re.MULTILINE)
    ]
    assert undescribed == []


def corpus(verdict):
    for path in sorted((CORPUS / verdict).glob("*/*.yaml")):
        yield pytest.param(path, id=f"{path.parent.name}/{path.stem}")


def test_the_corpus_has_forty_bad_manifests_a_kind():
    assert {kind: len(list((CORPUS / "bad" / kind).glob("*.yaml"))) >= 40 for kind in KINDS} == (
        dict.fromkeys(KINDS, True)
    )


def test_kubernetes_judges_the_corpus_as_we_do(kube, namespace):
    wrong = []
    for path in sorted((CORPUS / "bad").glob("*/*.yaml")) + sorted(
        (CORPUS / "good").glob("*/*.yaml")
    ):
        text = path.read_text()
        refuses = "# crd: refuses" in text
        # Without kubectl's own look at fields, which refuses unknown ones before the schema does.
        arguments = ("create", "--dry-run=server", "--validate=ignore", "-f", "-")
        try:
            kube.kubectl(*arguments, given=text, namespace=namespace)
        except CommandFailed as error:
            field = re.search(r"# field: (\S+)", text)
            named = field is None or _named(field[1], str(error))
            if not refuses or not named:
                wrong.append(f"{path.parent.name}/{path.stem}: {error}")
        else:
            if refuses:
                wrong.append(f"{path.parent.name}/{path.stem}: accepted")
    assert wrong == []


def _named(field, said):
    """Tell whether the API server's words lead to the field, or to what it belongs to."""
    return any(re.sub(r"\[.*", "", part) in said for part in field.split(".")[1:][-3:])


def test_what_only_the_services_refuse_is_marked_with_its_field(kube, namespace):
    """What the schema lets pass and the rules do not: InvalidSpec, and no retry."""
    applied = []
    for path in sorted((CORPUS / "bad").glob("*/*.yaml")):
        text = path.read_text()
        if "# crd: accepts" not in text or "# reason: FIELD_UNKNOWN" in text:
            continue
        document = yaml.safe_load(text)
        document["metadata"]["name"] = f"{path.parent.name.lower()}-{path.stem}"[:60].rstrip("-")
        field = re.search(r"# field: (\S+)", text)
        applied.append((document["kind"].lower(), document["metadata"]["name"], field))
        kube.apply(document, namespace=namespace)
    assert applied
    for kind, name, field in applied:
        eventually(
            lambda kind=kind, name=name: kube.condition(kind, name, namespace).get("reason"), 60
        )
        found = kube.condition(kind, name, namespace)
        assert (found["status"], found["reason"]) == ("False", "InvalidSpec"), (kind, name, found)
        if field:
            assert field[1].removeprefix("spec.") in found["message"], (name, found["message"])
