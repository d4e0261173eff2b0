"""Instants and dates out of the calendar, or out of reason."""

from tests.every_service.bad_input.shapes import COUPON, EVENT, INVOICE, JANUARY, KEPT, RULE, bad

TIMES = [
    bad(
        "the year 9999",
        "/api/v1/usage",
        KEPT | {"timestamp": "9999-12-31T23:59:59Z"},
        "TIME_OUT_OF_RANGE",
        "/timestamp",
    ),
    bad(
        "the year 1969",
        "/api/v1/usage",
        KEPT | {"timestamp": "1969-12-31T23:59:59Z"},
        "TIME_OUT_OF_RANGE",
        "/timestamp",
    ),
    bad(
        "the year 1",
        "/v1/usage_events",
        EVENT | {"time": "0001-01-01T00:00:00+14:00"},
        "TIME_OUT_OF_RANGE|TIME_INVALID",
        "/time",
    ),
    bad(
        "no time zone",
        "/v1/usage_events",
        EVENT | {"time": "2026-01-15T12:00:00"},
        "TIME_INVALID|TIME_OUT_OF_RANGE|FIELD_INVALID",
        "/time",
    ),
    bad("a number for a time", "/v1/usage_events", EVENT | {"time": 1}, field="/time"),
    bad("a clock in 9999", "/v1/test_clocks", {"now": "9999-12-31T23:59:59Z"}, field="/now"),
    bad("a clock in 1969", "/v1/test_clocks", {"now": "1969-12-31T23:59:59Z"}, field="/now"),
    bad("a clock as a number", "/v1/test_clocks", {"now": 1e300}, field="/now"),
    bad(
        "a subscription in 9999",
        "/v1/subscriptions",
        {"customer_id": "ada", "plan": "pro", "starts_at": "9999-12-31T23:59:59Z"},
        field="/starts_at",
    ),
    bad(
        "a run in the year 1", "/v1/billing_runs", {"at": "0001-01-01T00:00:00+14:00"}, field="/at"
    ),
    bad(
        "a coupon till the end of time",
        "/v1/coupons",
        COUPON | {"valid_until": "9999-12-31T23:59:59-14:00"},
        field="/valid_until",
    ),
    bad(
        "a coupon from before time",
        "/v1/coupons",
        COUPON | {"valid_from": "0001-01-01T00:00:00+14:00"},
        field="/valid_from",
    ),
    bad(
        "a discount at the end of time",
        "/v1/discount_calculations",
        {
            "lines": [{"line_id": "1", "amount_minor": 1}],
            "currency_code": "EUR",
            "coupon_codes": ["WELCOME"],
            "at": "9999-12-31T23:59:59-14:00",
        },
        field="/at",
    ),
    bad(
        "a quote at the end of time",
        "/v1/quotes",
        {"plan": "pro", "at": "9999-12-31T23:59:59Z"},
        field="/at",
    ),
    bad(
        "a quote at the beginning",
        "/v1/quotes",
        {"plan": "pro", "at": "0001-01-01T00:00:00+14:00"},
        field="/at",
    ),
    bad(
        "a date that is none",
        "/v1/tax_rules",
        RULE | {"valid_from": "2026-02-30"},
        field="/valid_from",
    ),
    bad(
        "a date as an instant",
        "/v1/invoices",
        INVOICE | {"due_on": "2026-01-01T12:00:00Z"},
        field="/due_on",
    ),
    bad(
        "an end before the start",
        "/v1/tax_rules",
        RULE | {"valid_until": "2025-01-01"},
        field="/valid_until",
    ),
    bad(
        "usage that ends first",
        "/v1/usage?meter=api&customer_id=ada&starts_at=2026-02-01T00:00:00Z&ends_at=2026-01-01T00:00:00Z",
        field="ends_at",
        method="GET",
    ),
    bad(
        "usage of all time",
        "/v1/usage?meter=api&customer_id=ada&starts_at=0001-01-01T00:00:00%2B14:00&ends_at=9999-12-31T23:59:59-14:00",
        method="GET",
    ),
    bad(
        "usage by quarter of all time",
        "/v1/usage?meter=api&customer_id=ada&window=quarter_hour&starts_at=0001-01-01T00:00:00%2B14:00&ends_at=9999-12-31T23:59:59-14:00",
        method="GET",
    ),
    bad(
        "usage of no zone",
        f"/v1/usage?meter=api&customer_id=ada&{JANUARY}&time_zone=Mars/Base",
        field="time_zone",
        method="GET",
    ),
    bad(
        "usage of a file",
        f"/v1/usage?meter=api&customer_id=ada&{JANUARY}&time_zone=../../etc/passwd",
        field="time_zone",
        method="GET",
    ),
    bad(
        "a rate of no day", "/v1/exchange_rates/EUR/USD?as_of=tomorrow", field="as_of", method="GET"
    ),
    bad(
        "a key that has expired",
        "/auth/api_keys",
        {"expires_at": "2001-01-01T00:00:00Z"},
        field="/expires_at",
    ),
    bad(
        "a key till the end of time",
        "/auth/api_keys",
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        field="/expires_at",
    ),
]
