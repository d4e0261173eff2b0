"""Read manifests far enough to file them: kind, name and namespace; the operator reads the rest."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode

API_VERSION = "billplane.io/v1alpha1"
STANDARD_INPUT = "standard input"
# Each kind by every name that kubectl takes for it.
KIND_NAMES = {
    "BillingPlan": ("billingplan", "billingplans", "bplan", "plan", "plans"),
    "ExchangeRateFeed": ("exchangeratefeed", "exchangeratefeeds", "fxfeed", "feed", "feeds"),
    "Meter": ("meter", "meters"),
    "UtilityProvider": ("utilityprovider", "utilityproviders", "uprov", "provider", "providers"),
}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# A tenant's id is a namespace here too.
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
_SUFFIXES = {".yaml", ".yml", ".json"}


@dataclass(frozen=True)
class Manifest:
    """One resource as it was written."""

    kind: str
    name: str
    namespace: str | None
    text: str
    source: str
    # Tables that it names, by their path beside it: they go where the manifest goes.
    files: tuple[str, ...] = ()

    def file(self, name: str) -> Path:
        """Find a table that lies beside the manifest, or below there.

        Raises: CliError.
        """
        folder = Path.cwd() if self.source == STANDARD_INPUT else Path(self.source).parent
        path = (folder / name).resolve()
        if path.suffix in _SUFFIXES:
            # Beside manifests it would be taken for one.
            raise _invalid(self.source, f"{self.kind} {self.name}: {name} is no table")
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise _invalid(self.source, f"{self.kind} {self.name}: no file {name} beside it")
        return path


def read_manifests(paths: list[str]) -> list[Manifest]:
    """Read files, directories and `-` for standard input; a `List` is taken apart.

    Raises: CliError naming the file and what is wrong with it.
    """
    manifests = [manifest for path in paths for manifest in _read(path)]
    seen: dict[tuple[str, str | None, str], str] = {}
    for manifest in manifests:
        key = (manifest.kind, manifest.namespace, manifest.name)
        if key in seen:
            raise _invalid(
                manifest.source,
                f"{manifest.kind} {manifest.name} stands in {seen[key]} already",
            )
        seen[key] = manifest.source
        for name in manifest.files:
            manifest.file(name)
    if not manifests:
        raise _invalid(", ".join(paths), "there is no manifest in it")
    return manifests


def with_annotation(text: str, name: str, value: str) -> str:
    """Return a manifest with an annotation, the rest as it was written.

    Raises: CliError.
    """
    document = yaml.compose(text, yaml.SafeLoader)
    metadata = _mapping(document, "manifest").get("metadata")
    annotations = _mapping(metadata, "manifest").get("annotations")
    quoted = json.dumps(value)
    if isinstance(annotations, yaml.MappingNode) and annotations.value:
        for key, held in annotations.value:
            if _scalar(key) == name:
                start, end = held.start_mark.index, held.end_mark.index
                return text[:start] + quoted + text[end:]
        return _inserted(text, annotations, f"{name}: {quoted}")
    if annotations is not None:
        start, end = annotations.start_mark.index, annotations.end_mark.index
        return f"{text[:start]}{{{name}: {quoted}}}{text[end:]}"
    return _inserted(text, metadata, f"annotations: {{{name}: {quoted}}}")


def _inserted(text: str, mapping: yaml.Node | None, entry: str) -> str:
    """Put an entry first into a mapping that is not empty."""
    if not isinstance(mapping, yaml.MappingNode):
        raise _invalid("manifest", "it has no metadata")
    start = mapping.value[0][0].start_mark
    separator = ", " if mapping.flow_style else "\n" + " " * start.column
    return text[: start.index] + entry + separator + text[start.index :]


def kind_of(word: str) -> str:
    """Find the kind that a word names by its name, plural or short name.

    Raises: CliError.
    """
    for kind, words in KIND_NAMES.items():
        if word.lower() in words:
            return kind
    raise CliError(
        f"There is no kind {word!r}.",
        hint=f"The kinds are {', '.join(KIND_NAMES)}.",
        exit_code=ExitCode.USAGE,
    )


def check_namespace(namespace: str) -> str:
    """Check that a namespace is one, since it becomes part of a path.

    Raises: CliError.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise CliError(
            f"The namespace {namespace!r} is not 1 to 63 lower-case letters, digits, _ and -.",
            exit_code=ExitCode.INVALID,
        )
    return namespace


def check_name(name: str, what: str) -> str:
    """Check that a name is one, since it becomes part of a path.

    Raises: CliError.
    """
    if not _NAME.fullmatch(name):
        raise CliError(
            f"{what} {name!r} is not 1 to 63 lower-case letters, digits and hyphens.",
            exit_code=ExitCode.INVALID,
        )
    return name


def _read(path: str) -> Iterator[Manifest]:
    if path == "-":
        yield from split(sys.stdin.read(), STANDARD_INPUT)
        return
    found = Path(path)
    if found.is_dir():
        files = sorted(file for file in found.rglob("*") if file.suffix in _SUFFIXES)
    else:
        files = [found]
    for file in files:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"{file} cannot be read: {error}.") from error
        yield from split(text, str(file))


def split(text: str, source: str) -> Iterator[Manifest]:
    """Yield the manifests of a text.

    Raises: CliError naming the source and what is wrong.
    """
    try:
        documents = list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise _invalid(source, str(error)) from error
    for document in documents:
        if document is None:
            continue
        fields = _mapping(document, source)
        if _scalar(fields.get("kind")) == "List":
            items = fields.get("items")
            for item in items.value if isinstance(items, yaml.SequenceNode) else []:
                yield _manifest(item, yaml.serialize(item), source)
        else:
            # As it was written: what a number or a date is, is the operator's to say.
            written = text[document.start_mark.index : document.end_mark.index]
            yield _manifest(document, written.rstrip() + "\n", source)


def _manifest(node: yaml.Node, text: str, source: str) -> Manifest:
    fields = _mapping(node, source)
    version, kind = _scalar(fields.get("apiVersion")), _scalar(fields.get("kind"))
    if version != API_VERSION:
        raise _invalid(source, f"apiVersion is {version!r}, not {API_VERSION}")
    if kind not in KIND_NAMES:
        raise _invalid(source, f"kind is {kind!r}, not one of {', '.join(KIND_NAMES)}")
    metadata = _mapping(fields.get("metadata"), source)
    name, namespace = _scalar(metadata.get("name")), _scalar(metadata.get("namespace"))
    check_name(name, f"{source}: the name of a {kind}")
    if namespace:
        check_name(namespace, f"{source}: the namespace of {kind} {name}")
    files = tuple(sorted(set(_files(fields.get("spec")))))
    return Manifest(kind, name, namespace or None, text, source, files)


def _files(node: yaml.Node | None) -> Iterator[str]:
    """Find every `csv: {file: …}` of a spec."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _files(item)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if _scalar(key) == "csv" and isinstance(value, yaml.MappingNode):
                yield from filter(None, [_scalar(_mapping(value, "").get("file"))])
            yield from _files(value)


def _mapping(node: yaml.Node | None, source: str) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise _invalid(source, "a manifest is an object with apiVersion, kind, metadata and spec")
    return {_scalar(key): value for key, value in node.value}


def _scalar(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _invalid(source: str, problem: str) -> CliError:
    return CliError(f"{source}: {problem}.", exit_code=ExitCode.INVALID)
