"""Lists: every item once, in both directions, whatever happens between two pages."""

import asyncio

import pytest
from billplane.chassis.errors import CursorInvalid
from billplane.chassis.rest import CURSOR_MAX, Page, decode_cursor, decode_number, encode_cursor
from hypothesis import given
from hypothesis import strategies as st

storable = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=100
)


@given(storable)
def test_a_cursor_comes_back_as_it_was(last):
    cursor = encode_cursor(last)
    assert decode_cursor(cursor) == last
    assert cursor.isascii()
    assert "=" not in cursor


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_a_cursor(text):
    try:
        last = decode_cursor(text)
    except CursorInvalid as error:
        assert error.field == "cursor"
    else:
        assert "\0" not in last


@given(st.text(max_size=60))
def test_a_cursor_of_numbers_holds_a_number_or_is_refused(text):
    try:
        assert 0 <= decode_number(encode_cursor(text)) < 2**63
    except CursorInvalid:
        assert not (text.isascii() and text.isdigit() and len(text) <= 18)


def test_the_paging_fields_of_a_call_have_the_bounds_of_a_request():
    assert Page.of(0, "").limit == 50
    assert Page.of(-5, "").limit == 50
    assert Page.of(10_000, "").limit == 200
    with pytest.raises(CursorInvalid):
        Page.of(1, "x" * (CURSOR_MAX + 1))


async def _pages(platform, headers, order, limit):
    path, seen = f"/v1/customers?limit={limit}&order={order}", []
    page = await platform.request("GET", path, headers=headers, expect=200)
    while True:
        assert len(page["data"]) <= limit
        seen += page["data"]
        if page["next_cursor"] is None:
            return [item["name"] for item in seen]
        page = await platform.request(
            "GET", f"{path}&cursor={page['next_cursor']}", headers=headers, expect=200
        )


async def test_pages_hold_every_item_once_the_newest_first(platform):
    headers = platform.headers("ten_pages")
    names = [f"c{number:02d}" for number in range(23)]
    for name in names:
        await platform.request(
            "POST", "/v1/customers", json={"name": name}, headers=headers, expect=201
        )
    for limit in (1, 5, 23, 50):
        assert await _pages(platform, headers, "asc", limit) == names
        assert await _pages(platform, headers, "desc", limit) == names[::-1]


async def test_what_is_added_meanwhile_is_neither_repeated_nor_in_the_way(platform):
    headers = platform.headers("ten_pages_moving")

    async def add(name):
        await platform.request(
            "POST", "/v1/customers", json={"name": name}, headers=headers, expect=201
        )

    for number in range(6):
        await add(f"old {number}")
    first = await platform.request("GET", "/v1/customers?limit=3", headers=headers)
    await asyncio.gather(*(add(f"new {number}") for number in range(5)))
    second = await platform.request(
        "GET", f"/v1/customers?limit=3&cursor={first['next_cursor']}", headers=headers
    )
    names = [item["name"] for item in [*first["data"], *second["data"]]]
    assert names == [f"old {number}" for number in range(5, -1, -1)]
    assert second["next_cursor"] is None


async def test_a_list_with_nothing_in_it_is_empty(platform):
    headers = platform.headers("ten_pages_empty")
    page = await platform.request("GET", "/v1/customers", headers=headers, expect=200)
    assert page == {"data": [], "next_cursor": None}
