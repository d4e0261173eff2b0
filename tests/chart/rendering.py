"""Renders the chart as an installation would, without a cluster, and finds its way in it."""

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "billplane"
NAMESPACE = "billing"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Document = dict[str, Any]


def render(values: Document, release: str = "billplane") -> list[Document]:
    """Return every document of an installation."""
    return copy.deepcopy(_rendered(json.dumps(values), release))


@functools.cache
def _rendered(values: str, release: str) -> list[Document]:
    chart = helm_python.Chart.load(CHART)
    files = chart.render(json.loads(values), name=release, namespace=NAMESPACE, is_install=True)
    return [
        document
        for name, text in sorted(files.items())
        if name.endswith(".yaml")
        for document in yaml.load_all(text, LOADER)
        if document
    ]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def named(documents: list[Document], kind: str, name: str) -> Document:
    (found,) = [item for item in of_kind(documents, kind) if item["metadata"]["name"] == name]
    return found


def pods(documents: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    """Yield name, labels and spec of everything that makes pods."""
    for document in documents:
        name = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] == "Pod":
            yield name, document["metadata"]["labels"], document["spec"]
        elif document["kind"] in ("Deployment", "StatefulSet", "Job"):
            template = document["spec"]["template"]
            yield name, template["metadata"]["labels"], template["spec"]


def containers(spec: Document) -> list[Document]:
    return [*spec.get("initContainers", ()), *spec["containers"]]


def selects(selector: Document | None, labels: Document) -> bool:
    """Tell whether a label selector takes in these labels."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", ()):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True
