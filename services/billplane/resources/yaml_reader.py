"""YAML as kubectl reads it, with the line of every field.

kubectl takes the booleans of YAML 1.1 (NO, on, y), but keeps dates and `15:30` as text, which no
ready-made loader does. Numbers with a fraction come as `Decimal`, so that no digit is lost before
a spec refuses them.
Source: sigs.k8s.io/yaml, goyaml.v2/resolve.go.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import yaml

from billplane.resources.errors import Violation

_NODES_MAX: Final = 200_000
_CHARACTERS_MAX: Final = 4_000_000
_DEPTH_MAX: Final = 64
_NUMBER_LENGTH_MAX: Final = 64

_PLAIN: Final = "plain"
_TAG_PREFIX: Final = "tag:yaml.org,2002:"
_COLLECTION_TAGS: Final = frozenset({f"{_TAG_PREFIX}map", f"{_TAG_PREFIX}seq"})
_SCALAR_TAGS: Final = frozenset({"null", "bool", "int", "float", "timestamp"})
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    form: value
    for value, words in ((True, ("y", "yes", "true", "on")), (False, ("n", "no", "false", "off")))
    for word in words
    for form in (word, word.capitalize(), word.upper())
}
_NOT_FINITE: Final = frozenset(
    sign + word
    for sign, words in (
        ("", (".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF")),
        ("+", (".inf", ".Inf", ".INF")),
        ("-", (".inf", ".Inf", ".INF")),
    )
    for word in words
)
_INTEGER: Final = re.compile(
    r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|([1-9][0-9]*|0))"
)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class YamlError(Exception):
    """Text that is not YAML, or YAML that no JSON corresponds to."""

    def __init__(self, line: int, violation: Violation) -> None:
        self.line = line
        self.violation = violation
        super().__init__(f"line {line}: {violation}")


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document: its JSON data, its first line and the line of each field path below it."""

    data: Any
    line: int
    lines: dict[str, int] = field(default_factory=dict)


class _Composer(yaml.SafeLoader):
    """Composes nodes and leaves the meaning of plain scalars to us."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else f"{_TAG_PREFIX}str"
        return f"{_TAG_PREFIX}{'map' if kind is yaml.MappingNode else 'seq'}"


def read_documents(text: str) -> list[YamlDocument]:
    """Return the documents of a YAML stream, empty ones left out.

    Raises: YamlError at the first line that cannot be read.
    """
    if len(text) > _CHARACTERS_MAX:
        detail = f"must not be longer than {_CHARACTERS_MAX} characters"
        raise YamlError(1, Violation("", "TOO_LONG", detail))
    try:
        return list(_documents(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        detail = f"is not YAML: {error.problem or error.context or 'cannot be read'}"
        raise YamlError(line, Violation("", "YAML_INVALID", detail)) from None
    except yaml.YAMLError as error:
        detail = f"is not YAML: {str(error).splitlines()[0]}"
        raise YamlError(1, Violation("", "YAML_INVALID", detail)) from None
    except RecursionError:
        raise YamlError(1, Violation("", "TOO_DEEP", "must not nest without end")) from None


def _documents(text: str) -> Iterator[YamlDocument]:
    loader = _Composer(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            document = YamlDocument(None, _line(node))
            data = _Builder(document.lines).build(node, "", 0)
            if data is not None:
                yield YamlDocument(data, document.line, document.lines)
    finally:
        loader.dispose()


class _Builder:
    """Turns nodes into JSON data and notes where each field stands."""

    def __init__(self, lines: dict[str, int]) -> None:
        self._lines = lines
        self._nodes = 0

    def build(self, node: yaml.Node, path: str, depth: int) -> Any:
        # An alias is built anew wherever it is used: counted, so that a few lines of nested
        # aliases cannot grow into gigabytes.
        self._nodes += 1
        if self._nodes > _NODES_MAX:
            raise _error(node, path, "TOO_LONG", f"must not have more than {_NODES_MAX} values")
        if depth > _DEPTH_MAX:
            raise _error(node, path, "TOO_DEEP", f"must not nest deeper than {_DEPTH_MAX} levels")
        self._lines.setdefault(path, _line(node))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTION_TAGS:
            raise _error(node, path, "TAG_NOT_ALLOWED", f"cannot be read with the tag {node.tag}")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.build(item, f"{path}[{index}]", depth + 1)
                for index, item in enumerate(node.value)
            ]
        return _scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                merged = self._merged(value_node, path, depth) | merged
                continue
            key = _key(key_node, path)
            below = f"{path}.{key}" if path else key
            if key in own:
                detail = f"is given twice, first in line {self._lines[below]}"
                raise _error(key_node, below, "DUPLICATE", detail)
            self._lines[below] = _line(key_node)
            own[key] = self.build(value_node, below, depth + 1)
        return merged | own

    def _merged(self, node: yaml.Node, path: str, depth: int) -> dict[str, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise _error(part, path, "YAML_INVALID", "can merge objects only")
            self._nodes += 1
            if depth > _DEPTH_MAX or self._nodes > _NODES_MAX:
                raise _error(part, path, "TOO_DEEP", "must not merge without end")
            merged = self._mapping(part, path, depth + 1) | merged
        return merged


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _error(node: yaml.Node, path: str, reason: str, detail: str) -> YamlError:
    return YamlError(_line(node), Violation(path, reason, detail))


def _key(node: yaml.Node, path: str) -> str:
    value = _scalar(node, path) if isinstance(node, yaml.ScalarNode) else None
    if value is None:
        raise _error(node, path, "YAML_INVALID", "must have text for keys")
    # As kubectl: numbers and booleans become the text that JSON has for them.
    return str(value).lower() if isinstance(value, bool) else str(value)


def _scalar(node: yaml.Node, path: str) -> Any:
    text = str(node.value)
    tag = str(node.tag)
    if tag == _PLAIN:
        value = _plain(text)
    else:
        name = tag.removeprefix(_TAG_PREFIX)
        if name == "str":
            return text
        value = _plain(text)
        if name not in _SCALAR_TAGS or not _fits(name, value):
            detail = f"cannot be read with the tag {tag}"
            raise _error(node, path, "TAG_NOT_ALLOWED", detail)
    if value in _NOT_FINITE:
        raise _error(node, path, "NUMBER_INVALID", "must be a number that JSON has")
    return value


def _fits(name: str, value: object) -> bool:
    if name == "null":
        return value is None
    if name == "bool":
        return isinstance(value, bool)
    if name == "timestamp":
        return isinstance(value, str)
    number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return number and (name == "float" or isinstance(value, int))


def _plain(text: str) -> Any:
    """Return what an unquoted scalar means to kubectl."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    plain = text.replace("_", "")
    # A longer number fits no field, and Python refuses to convert very long ones.
    if text[0] not in "+-.0123456789" or len(plain) > _NUMBER_LENGTH_MAX:
        return text
    if integer := _INTEGER.fullmatch(plain):
        sign, *digits = integer.groups()
        base, written = next(
            (base, part) for base, part in zip((16, 8, 2, 10), digits, strict=True) if part
        )
        value = int(written, base)
        return -value if sign == "-" else value
    if _FLOAT.fullmatch(plain):
        number = Decimal(plain)
        if number.adjusted() > 308:
            return text
        # JSON has one kind of number: kubectl writes 1.0 as 1.
        whole = abs(number.adjusted()) < 20 and number == number.to_integral_value()
        return int(number) if whole else number
    return text
