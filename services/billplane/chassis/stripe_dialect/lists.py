"""Lists: newest first, continued by the id that the page before ended with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Query, Request
from sqlalchemy import Select, select

from billplane.chassis.database.transaction import ReadTransaction
from billplane.chassis.errors import FieldError, Invalid, NotFound
from billplane.chassis.stripe_dialect.forms import parse_form

LIMIT_MAX: Final = 100
_ID_MAX = 255
_BOUNDS = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True, slots=True)
class StripePage:
    """Which part of a list is wanted; `created` bounds when its rows were made."""

    limit: int = 10
    starting_after: str = ""
    ending_before: str = ""
    created: dict[str, datetime] = field(default_factory=dict)


def _page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="at most 100")] = 10,
    starting_after: Annotated[str, Query(max_length=_ID_MAX)] = "",
    ending_before: Annotated[str, Query(max_length=_ID_MAX)] = "",
) -> StripePage:
    if starting_after and ending_before:
        raise Invalid(
            [
                FieldError(
                    "ending_before",
                    "PARAMETERS_EXCLUSIVE",
                    "give only one of starting_after and ending_before",
                )
            ]
        )
    return StripePage(limit, starting_after, ending_before, created_bounds(request))


StripePageQuery = Annotated[StripePage, Depends(_page)]


def created_bounds(request: Request) -> dict[str, datetime]:
    """Read `created=…` or `created[gte]=…`, in seconds since 1970.

    Raises: Invalid.
    """
    given = parse_form(request.scope.get("query_string", b"")).get("created")
    if given is None or given == "":
        return {}
    bounds = given if isinstance(given, dict) else {"gte": given, "lte": given}
    found = {}
    for name, text in bounds.items():
        if name not in _BOUNDS:
            raise Invalid(
                [FieldError("created", "PARAMETER_UNKNOWN", "created takes gt, gte, lt and lte")]
            )
        if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) > 11:
            raise Invalid(
                [FieldError(f"created[{name}]", "PARAMETER_INVALID_INTEGER", "Invalid integer")]
            )
        found[name] = datetime.fromtimestamp(int(text), UTC)
    return found


async def fetch_list(
    tx: ReadTransaction,
    query: Select[Any],
    column: Any,
    page: StripePage,
    *,
    created: Any = None,
    key: Any = None,
) -> tuple[Sequence[Any], bool]:
    """Return one page of rows, newest first, and whether there are more.

    `column` orders the rows; `key` is the column of the ids that a page is continued by, where
    that is another one; `created` is the column of the bounds.

    Raises: NotFound when the list has no row of the id that it is to go on from.
    """
    query = _bounded(query, created, page.created)
    cursor = page.starting_after or page.ending_before
    place: Any = None
    if cursor:
        place = await _place(tx, query, column, key if key is not None else column, cursor, page)
    if page.ending_before:
        query = query.where(column > place).order_by(column.asc())
    else:
        query = query.order_by(column.desc())
        query = query if place is None else query.where(column < place)
    rows = list((await tx.session.scalars(query.limit(page.limit + 1))).all())
    more = len(rows) > page.limit
    rows = rows[: page.limit]
    return rows[::-1] if page.ending_before else rows, more


def _bounded(query: Select[Any], column: Any, bounds: dict[str, datetime]) -> Select[Any]:
    if column is None:
        return query
    for name, instant in bounds.items():
        query = query.where(
            {
                "gt": column > instant,
                "gte": column >= instant,
                "lt": column < instant,
                "lte": column <= instant,
            }[name]
        )
    return query


async def _place(
    tx: ReadTransaction, query: Select[Any], column: Any, key: Any, cursor: str, page: StripePage
) -> Any:
    found = await tx.session.scalar(
        select(column).where(
            column.class_.tenant_id == tx.tenant_id,
            column.class_.livemode == tx.livemode,
            key == cursor,
        )
    )
    if found is None:
        name = "starting_after" if page.starting_after else "ending_before"
        raise NotFound(f"No such object: '{cursor}'", field=name)
    return found


def listed(url: str, data: Sequence[Any], has_more: bool) -> dict[str, Any]:
    """Return the body of a list."""
    return {"object": "list", "url": url, "has_more": has_more, "data": list(data)}
