"""Headers, paths and methods that lead nowhere."""

from tests.every_service.bad_input.shapes import JSON, KEPT, bad, customer

HEADERS = [
    bad(
        "an empty key",
        "/v1/customers",
        customer(),
        "IDEMPOTENCY_KEY_INVALID",
        "/headers/Idempotency-Key",
        headers=JSON | {"Idempotency-Key": b""},
    ),
    bad(
        "a key with a space",
        "/v1/customers",
        customer(),
        "IDEMPOTENCY_KEY_INVALID",
        "/headers/Idempotency-Key",
        headers=JSON | {"Idempotency-Key": b"a b"},
    ),
    bad(
        "a key of other letters",
        "/v1/customers",
        customer(),
        "IDEMPOTENCY_KEY_INVALID",
        "/headers/Idempotency-Key",
        headers=JSON | {"Idempotency-Key": "ключ".encode()},
    ),
    bad(
        "an overlong key",
        "/v1/customers",
        customer(),
        "IDEMPOTENCY_KEY_INVALID",
        "/headers/Idempotency-Key",
        headers=JSON | {"Idempotency-Key": b"k" * 256},
    ),
    bad(
        "a key of usage with control characters",
        "/api/v1/usage",
        KEPT,
        "HTTP_MALFORMED|TEXT_INVALID",
        headers=JSON | {"Idempotency-Key": b"a\x7fb"},
        status=(400, 422),
    ),
    bad(
        "a NUL in a header",
        "/v1/customers",
        customer(),
        headers=JSON | {"X-Request-Id": b"a\0b"},
        status=(400, 201),
    ),
    bad(
        "a length that is none",
        "/v1/customers",
        customer(),
        headers=JSON | {"Content-Length": b"many"},
        status=(400, 413, 422),
    ),
    bad(
        "a negative length",
        "/v1/customers",
        b"",
        headers=JSON | {"Content-Length": b"-1"},
        status=(400, 413, 422),
    ),
    bad(
        "an event without its type",
        "/v1/usage_events",
        b"{}",
        "FIELD_REQUIRED",
        headers=JSON | {"ce-id": b"1", "ce-source": b"/x"},
    ),
    bad(
        "an event in a version to come",
        "/v1/usage_events",
        b"{}",
        "FIELD_INVALID",
        "/specversion",
        headers=JSON
        | {
            "ce-id": b"1",
            "ce-source": b"/x",
            "ce-type": b"api.request",
            "ce-subject": b"ada",
            "ce-specversion": b"9.9",
        },
    ),
    bad(
        "an event with a NUL",
        "/v1/usage_events",
        b"{}",
        "TEXT_INVALID",
        "/subject",
        headers=JSON
        | {"ce-id": b"1", "ce-source": b"/x", "ce-type": b"api.request", "ce-subject": b"%00"},
    ),
    bad(
        "an event of bad escapes",
        "/v1/usage_events",
        b'{"units": 1}',
        headers=JSON
        | {"ce-id": b"%ff", "ce-source": b"%", "ce-type": b"nothing", "ce-subject": b"\xff"},
    ),
]

ROUTES = [
    bad("an unknown route", "/v1/nothing", "", "ROUTE_NOT_FOUND", method="GET", status=404),
    bad("the root", "/", "", "ROUTE_NOT_FOUND", method="GET", status=404),
    bad(
        "a route with a slash more",
        "/v1/customers/",
        "",
        "ROUTE_NOT_FOUND|CUSTOMER_NOT_FOUND",
        method="GET",
        status=404,
    ),
    bad(
        "a route with two slashes",
        "//v1/customers",
        "",
        "ROUTE_NOT_FOUND",
        method="GET",
        status=404,
    ),
    bad("a way up", "/v1/customers/../../etc/passwd", "", method="GET", status=404),
    bad(
        "a way up in disguise", "/v1/customers/..%2f..%2fetc%2fpasswd", "", method="GET", status=404
    ),
    bad("an unknown verb", "/v1/invoices/x:explode", None, status=(404, 405)),
    bad("a wrong method", "/v1/customers", b"{}", "METHOD_NOT_ALLOWED", method="PUT", status=405),
    bad(
        "a wrong method of usage",
        "/v1/usage_events",
        b"",
        "METHOD_NOT_ALLOWED",
        method="GET",
        status=405,
    ),
    bad("a method that is none", "/v1/customers", b"", method="BREW", status=(400, 405, 501)),
    bad("TRACE", "/v1/customers", b"", method="TRACE", status=(400, 405, 501)),
]
