"""Characters that no store holds; pages that no list has."""

import json

from tests.every_service.bad_input.shapes import EVENT, JANUARY, bad, customer, raw

TEXTS = [
    bad("a NUL in a body", "/v1/customers", customer(email="a\0b"), "TEXT_INVALID", "/email"),
    bad(
        "a NUL below",
        "/v1/customers",
        customer(address={"city": "a\0b"}),
        "TEXT_INVALID",
        "/address/city",
    ),
    bad("a NUL in a field's name", "/v1/customers", {"na\0me": "x"}, status=422),
    bad(
        "a NUL in an event",
        "/v1/usage_events",
        EVENT | {"subject": "a\0b"},
        "TEXT_INVALID",
        "/subject",
    ),
    bad(
        "a NUL in an event's data",
        "/v1/usage_events",
        EVENT | {"data": {"units": 1, "x": "a\0b"}},
        "DATA_INVALID",
        "/data",
    ),
    bad("a NUL in a spec", "/v1/plans", {"name": "x", "spec": {"displayName": "a\0b"}}, status=422),
    bad("a NUL in a path", "/v1/customers/a%00b", "", "TEXT_INVALID", method="GET"),
    bad("a NUL in a path of usage", "/api/v1/billing/a%00b", "", "TEXT_INVALID", method="GET"),
    bad(
        "a NUL in a filter",
        "/v1/invoices?customer_id=a%00b",
        "",
        "TEXT_INVALID",
        "customer_id",
        method="GET",
    ),
    bad(
        "a NUL in the name of a filter", "/v1/invoices?a%00b=c", "", method="GET", status=(200, 422)
    ),
    bad("a lone surrogate", "/v1/customers", raw(r'{"name": "\ud800"}'), "TEXT_INVALID", "/name"),
    bad(
        "a lone surrogate as bytes", "/v1/customers", b'{"name": "\xed\xa0\x80"}', status=(400, 422)
    ),
    bad("a surrogate in a field's name", "/v1/customers", raw(r'{"\udfff": "x"}'), status=422),
    bad(
        "a surrogate in a spec",
        "/v1/meters",
        raw(r'{"name": "x", "spec": {"eventType": "\ud800"}}'),
        status=422,
    ),
    bad(
        "a surrogate in a spec's name",
        "/v1/meters",
        raw(r'{"name": "x", "spec": {"\ud800": 1}}'),
        status=422,
    ),
    bad(
        "a surrogate in an event",
        "/v1/usage_events",
        raw(json.dumps(EVENT).replace('"ada"', r'"\ud800"')),
        status=(400, 422),
    ),
    bad(
        "a surrogate in an event's name",
        "/v1/usage_events",
        raw(json.dumps(EVENT).replace('"time"', r'"\ud800"')),
        status=(400, 422),
    ),
    bad(
        "a surrogate in an event's data",
        "/v1/usage_events",
        raw(json.dumps(EVENT).replace('"eu"', r'"\ud800"')),
        status=(400, 422),
    ),
    bad(
        "a control character in an id",
        "/v1/customers",
        customer(external_id="a\x1bb"),
        field="/external_id",
    ),
    bad("a bad escape in a path", "/v1/customers/%ff%fe", method="GET", status=(400, 404, 422)),
    bad("half an escape in a path", "/v1/customers/%a", method="GET", status=(400, 404, 422)),
    bad(
        "a bad escape in a query",
        "/v1/usage?meter=%ff&customer_id=ada&" + JANUARY,
        method="GET",
        status=(400, 404, 422),
    ),
    bad(
        "a path of 8,000 letters",
        "/v1/customers/" + "x" * 8000,
        method="GET",
        status=(400, 404, 414, 422),
    ),
]

PAGES = [
    bad(
        "a cursor that is none",
        "/v1/customers?cursor=abc",
        "",
        "CURSOR_INVALID",
        "cursor",
        method="GET",
    ),
    bad(
        "a cursor with a NUL",
        "/v1/customers?cursor=MQA",
        "",
        "CURSOR_INVALID",
        "cursor",
        method="GET",
    ),
    bad(
        "a cursor of letters",
        "/v1/customers?cursor=%C3%A9",
        "",
        "CURSOR_INVALID",
        "cursor",
        method="GET",
    ),
    bad(
        "an overlong cursor",
        "/v1/customers?cursor=" + "x" * 501,
        "",
        "FIELD_TOO_LONG",
        "cursor",
        method="GET",
    ),
    bad(
        "a cursor of another list",
        "/v1/usage?meter=api&customer_id=ada&cursor=MWN1c194&" + JANUARY,
        "",
        "CURSOR_INVALID",
        "cursor",
        method="GET",
    ),
    bad("a limit of nought", "/v1/customers?limit=0", field="limit", method="GET"),
    bad("a limit of 201", "/v1/customers?limit=201", field="limit", method="GET"),
    bad("a limit of letters", "/v1/customers?limit=many", field="limit", method="GET"),
    bad("a limit of 1e9", "/v1/customers?limit=1e9", field="limit", method="GET"),
    bad("an order of none", "/v1/customers?order=random", field="order", method="GET"),
    bad(
        "a version beyond numbers",
        "/v1/plans/pro?version=99999999999999999999",
        field="version",
        method="GET",
    ),
    bad("a version that is not there", "/v1/plans/pro?version=7", method="GET", status=404),
    *(
        bad(
            f"a foreign cursor of {path}",
            f"{path}?cursor=MXp6eg",
            "",
            method="GET",
            status=(200, 422),
        )
        for path in (
            "/v1/plans/pro/versions",
            "/v1/exchange_rates",
            "/v1/tax_rules",
            "/v1/coupons",
            "/v1/invoices",
            "/v1/meters",
            "/v1/test_clocks",
            "/v1/usage_events/conflicts",
            "/auth/api_keys",
        )
    ),
]
