"""`expand`: objects where otherwise their ids stand."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.stripe_dialect.forms import parse_form

DEPTH_MAX: Final = 4
PATHS_MAX: Final = 20

Load = Callable[[str, str], Awaitable[dict[str, Any] | None]]


async def _paths(request: Request) -> list[str]:
    given = parse_form(request.scope.get("query_string", b"")).get("expand", [])
    if not given and request.method == "POST":
        body = await request.body()
        found = json.loads(body) if body else {}
        given = found.get("expand") or [] if isinstance(found, dict) else []
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise Invalid([FieldError("expand", "PARAMETER_INVALID", "expand is a list of fields")])
    if len(given) > PATHS_MAX or any(path.count(".") >= DEPTH_MAX for path in given):
        raise Invalid(
            [
                FieldError(
                    "expand",
                    "PARAMETER_INVALID",
                    f"expand takes {PATHS_MAX} fields of at most {DEPTH_MAX} levels",
                )
            ]
        )
    return list(given)


Expand = Annotated[list[str], Depends(_paths)]


async def expanded(value: dict[str, Any], paths: Sequence[str], load: Load) -> dict[str, Any]:
    """Put objects in the places that paths lead to; `load(field, id)` finds one.

    Raises: Invalid naming what cannot be expanded.
    """
    known: dict[tuple[str, str], dict[str, Any] | None] = {}

    async def once(field: str, object_id: str) -> dict[str, Any] | None:
        if (field, object_id) not in known:
            known[field, object_id] = await load(field, object_id)
        found = known[field, object_id]
        return None if found is None else dict(found)

    for path in paths:
        await _expand(value, path.split("."), once, path)
    return value


async def _expand(value: Any, steps: Sequence[str], load: Load, path: str) -> None:
    if isinstance(value, list):
        for item in value:
            await _expand(item, steps, load, path)
        return
    if not steps or value is None:
        return
    field, rest = steps[0], steps[1:]
    if not isinstance(value, dict) or field not in value:
        raise _refused(path)
    below = value[field]
    if isinstance(below, str):
        below = await load(field, below)
        if below is None:
            raise _refused(path)
        value[field] = below
    elif not isinstance(below, dict | list | None):
        raise _refused(path)
    await _expand(below, rest, load, path)


def _refused(path: str) -> Invalid:
    detail = f"This property cannot be expanded ({path})."
    return Invalid([FieldError("expand", "PROPERTY_CANNOT_BE_EXPANDED", detail)])
