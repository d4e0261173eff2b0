"""Forms with brackets, as Stripe's SDKs write them: `metadata[order]=7`, `expand[0]=owner`."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from billplane.chassis.errors import FieldError, Invalid, MalformedBody

FIELDS_MAX: Final = 1000
DEPTH_MAX: Final = 8
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_STEP = re.compile(r"\[([^\[\]]*)\]")


def parse_form(text: bytes) -> dict[str, Any]:
    """Read a form or a query: every value is text, nested as its brackets say.

    Raises: MalformedBody, Invalid naming the key.
    """
    try:
        pairs = parse_qsl(
            text.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=False,
            encoding="utf-8",
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except UnicodeDecodeError:
        raise MalformedBody("the form is not UTF-8") from None
    except ValueError:
        raise MalformedBody(f"a form has at most {FIELDS_MAX} fields") from None
    root: dict[str, Any] = {}
    for key, value in pairs:
        _put(root, _steps(key), value, key)
    return {name: _with_lists(value) for name, value in root.items()}


def _steps(key: str) -> list[str]:
    match = _KEY.match(key)
    if match is None:
        raise _invalid(key, "the key's brackets do not match")
    steps = [match[1], *_STEP.findall(match[2])]
    if len(steps) > DEPTH_MAX:
        raise _invalid(key, f"a key has at most {DEPTH_MAX} levels")
    return steps


def _put(root: dict[str, Any], steps: list[str], value: str, key: str) -> None:
    place = root
    for step in steps[:-1]:
        below = place.setdefault(step or str(len(place)), {})
        if not isinstance(below, dict):
            raise _invalid(key, "the key is given both as a value and with brackets")
        place = below
    last = steps[-1] or str(len(place))
    if isinstance(place.get(last), dict):
        raise _invalid(key, "the key is given both as a value and with brackets")
    place[last] = value


def _with_lists(value: Any) -> Any:
    """Turn what is numbered 0, 1, 2 … into a list, whatever order it came in."""
    if not isinstance(value, dict):
        return value
    below = {name: _with_lists(item) for name, item in value.items()}
    if below and all(str(index) in below for index in range(len(below))):
        return [below[str(index)] for index in range(len(below))]
    return below


def _invalid(key: str, detail: str) -> Invalid:
    return Invalid([FieldError(key[:200], "PARAMETER_INVALID", detail)])
