"""From what a reader found wrong to field paths, stable reasons and sentences."""

from typing import Any, Final

from pydantic import ValidationError

from billplane.resources.errors import SpecError, Violation

_DEPTH_MAX: Final = 32
_VIOLATIONS_MAX: Final = 100

_REASONS: Final = {
    "missing": "REQUIRED",
    "extra_forbidden": "FIELD_UNKNOWN",
    "string_pattern_mismatch": "PATTERN_MISMATCH",
    "string_too_long": "TOO_LONG",
    "string_too_short": "TOO_SHORT",
    "too_long": "TOO_LONG",
    "too_short": "TOO_SHORT",
    "literal_error": "VALUE_NOT_ALLOWED",
    "greater_than": "OUT_OF_RANGE",
    "greater_than_equal": "OUT_OF_RANGE",
    "less_than": "OUT_OF_RANGE",
    "less_than_equal": "OUT_OF_RANGE",
}


def field_path(location: tuple[int | str, ...], root: str = "spec") -> str:
    """Return a location as a path: `spec.charges[2].name`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return root + "".join(steps)


def violations_of(error: ValidationError) -> list[Violation]:
    """Return what pydantic found, by field path and with our reasons.

    Shape: at most 100, in the order of the fields.
    """
    found = error.errors(include_url=False, include_context=False)[:_VIOLATIONS_MAX]
    broken_below = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    return [
        Violation(field_path(item["loc"]), *_told(item["type"], item["msg"], item["input"]))
        for item in found
        # A list whose items are refused counts as empty: that would be said of the wrong thing.
        if not (item["type"] == "too_short" and item["loc"] in broken_below)
    ]


def _told(kind: str, message: str, given: object) -> tuple[str, str]:
    detail = message[:1].lower() + message[1:].replace("after validation, ", "")
    detail = detail.replace("tuple should", "must").replace("string should", "must")
    detail = detail.replace("input should", "must")
    if kind in _REASONS:
        if kind == "missing":
            detail = "is required"
        elif kind == "extra_forbidden":
            detail = "is not a field of this object"
        return _REASONS[kind], detail
    if kind.isupper():
        return kind, message
    if kind == "string_type" and isinstance(given, bool):
        detail = f"must be text, but reads as {str(given).lower()}: YAML takes yes, no, on and "
        detail += "off for booleans, so put it in quotes"
    elif kind == "string_type":
        detail = f"must be text in quotes, not {_word(given)}"
    elif kind in {"model_type", "model_attributes_type", "dict_type"}:
        detail = f"must be an object, not {_word(given)}"
    elif kind == "tuple_type":
        detail = f"must be a list, not {_word(given)}"
    return "TYPE_MISMATCH", detail


def _word(value: object) -> str:
    match value:
        case bool():
            return "a boolean"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case None:
            return "null"
    return "a number"


def without_nulls(document: Any, path: str = "spec", depth: int = 0) -> Any:
    """Return JSON data without the fields that are null, as the API server stores it.

    Raises: SpecError TOO_DEEP for nesting without end, TYPE_MISMATCH for keys that are not text.
    """
    if depth > _DEPTH_MAX:
        detail = f"must not nest deeper than {_DEPTH_MAX} levels"
        raise SpecError([Violation(path, "TOO_DEEP", detail)])
    if isinstance(document, dict):
        for key in document:
            if not isinstance(key, str):
                detail = f"must have text for keys, not {key!r}"
                raise SpecError([Violation(path, "TYPE_MISMATCH", detail)])
        return {
            key: without_nulls(value, f"{path}.{key}", depth + 1)
            for key, value in document.items()
            if value is not None
        }
    if isinstance(document, list):
        return [
            without_nulls(value, f"{path}[{index}]", depth + 1)
            for index, value in enumerate(document)
        ]
    return document
