"""Manifests: resources written as YAML or JSON, and errors that name file, line and field."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from billplane.resources.common import NAME_PATTERN, Spec
from billplane.resources.errors import SpecError, Violation
from billplane.resources.kinds import API_VERSION, KINDS, validate_spec
from billplane.resources.yaml_reader import YamlDocument, YamlError, read_documents

_NAME = re.compile(NAME_PATTERN)
_TOP_FIELDS: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
# What `kubectl get -o yaml` writes besides: set by the API server, read by nobody here.
_SERVER_FIELDS: Final = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_METADATA_FIELDS: Final = frozenset({"name", "namespace", "labels", "annotations"})


@dataclass(frozen=True, slots=True)
class LocatedViolation:
    """A violation and where it stands."""

    source: str
    line: int
    violation: Violation

    def __str__(self) -> str:
        told = str(self.violation) if self.violation.field else str(self.violation)[2:]
        return f"{self.source}:{self.line}: {told}"


class ManifestError(Exception):
    """A manifest that cannot be applied; one line for each thing that is wrong."""

    def __init__(self, located: Sequence[LocatedViolation]) -> None:
        self.located = list(located)
        super().__init__("\n".join(map(str, self.located)))


@dataclass(frozen=True, slots=True)
class Manifest:
    """One resource as it was written; its spec is not yet checked."""

    kind: str
    name: str
    namespace: str | None
    document: Any
    source: str
    line: int
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    def read_spec(self) -> Spec:
        """Return the spec, defaults filled in.

        Raises: ManifestError with every violation, each with its line.
        """
        try:
            return validate_spec(self.kind, self.document)
        except SpecError as error:
            raise ManifestError(
                [
                    LocatedViolation(self.source, line_of(item.field, self.lines), item)
                    for item in error.violations
                ]
            ) from None


def line_of(path: str, lines: Mapping[str, int]) -> int:
    """Return the line of a field, or of the nearest object around it that is written down."""
    while path not in lines:
        shorter = re.sub(r"(\[[0-9]+\]|\.?[^.\[\]]+)$", "", path)
        if shorter == path:
            return lines.get("", 1)
        path = shorter
    return lines[path]


def read_manifests(text: str, source: str) -> list[Manifest]:
    """Return the resources of a YAML or JSON text, in order; a `List` is taken apart.

    Units: `source` is the name that errors call the text by, such as its path.
    Raises: ManifestError for text that is not YAML and for kinds, names and fields that are not
        ours; all of them, unless the text cannot be read at all.
    """
    try:
        documents = read_documents(text)
    except YamlError as error:
        raise ManifestError([LocatedViolation(source, error.line, error.violation)]) from None
    manifests: list[Manifest] = []
    located: list[LocatedViolation] = []
    for document in (part for whole in documents for part in _parts(whole)):
        found = list(_violations(document.data))
        located += [
            LocatedViolation(source, line_of(item.field, document.lines), item) for item in found
        ]
        if not found:
            manifests.append(_manifest(document, source))
    if located:
        raise ManifestError(located)
    return manifests


def _parts(document: YamlDocument) -> Iterator[YamlDocument]:
    data = document.data
    if not (isinstance(data, dict) and data.get("kind") == "List"):
        yield document
        return
    items = data.get("items")
    for index, item in enumerate(items if isinstance(items, list) else []):
        at = f"items[{index}]"
        lines = {
            path.removeprefix(at).removeprefix("."): line
            for path, line in document.lines.items()
            if path == at or path.startswith(f"{at}.")
        }
        yield YamlDocument(item, lines.get("", document.line), lines)


def _manifest(document: YamlDocument, source: str) -> Manifest:
    data, metadata = document.data, document.data["metadata"]
    return Manifest(
        kind=data["kind"],
        name=metadata["name"],
        namespace=metadata.get("namespace"),
        document=data["spec"],
        source=source,
        line=document.line,
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        lines=document.lines,
    )


def _violations(data: Any) -> Iterator[Violation]:
    if not isinstance(data, dict):
        yield Violation("", "TYPE_MISMATCH", "must be an object with apiVersion and kind")
        return
    for name in sorted(data.keys() - _TOP_FIELDS):
        yield Violation(name, "FIELD_UNKNOWN", "is not a field of a resource")
    if data.get("apiVersion") != API_VERSION:
        yield Violation("apiVersion", "API_VERSION_UNKNOWN", f"must be {API_VERSION}")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        yield Violation("kind", "KIND_UNKNOWN", f"must be one of {', '.join(KINDS)}")
    if "spec" not in data:
        yield Violation("spec", "REQUIRED", "is required")
    yield from _metadata_violations(data.get("metadata"))


def _metadata_violations(metadata: Any) -> Iterator[Violation]:
    if not isinstance(metadata, dict):
        yield Violation("metadata", "REQUIRED", "must be an object with a name")
        return
    for name in sorted(metadata.keys() - _METADATA_FIELDS - _SERVER_FIELDS):
        yield Violation(f"metadata.{name}", "FIELD_UNKNOWN", "is not a field of metadata")
    for name in ("name", "namespace"):
        value = metadata.get(name)
        if value is None and name == "namespace":
            continue
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            detail = "must be 1 to 63 lower-case letters, digits and hyphens, not at its ends"
            yield Violation(f"metadata.{name}", "NAME_INVALID", detail)
    for name in ("labels", "annotations"):
        values = metadata.get(name)
        if values is None:
            continue
        if not isinstance(values, dict):
            yield Violation(f"metadata.{name}", "TYPE_MISMATCH", "must be an object")
            continue
        for key, value in values.items():
            if not isinstance(value, str):
                detail = "must be text: put the value in quotes"
                yield Violation(f"metadata.{name}.{key}", "TYPE_MISMATCH", detail)
