"""The REST client: clear errors, one connection, repetition without a second effect."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from billplane_cli.client import Client, path_of
from billplane_cli.errors import ApiError, CliError, UnreachableError
from billplane_cli.exit_codes import ExitCode

from tests.cli.conftest import Platform, Reply, Request, problem


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    client = Client(platform.url, credential=lambda: "sk_test_1", patience_seconds=2)
    yield client
    client.close()


def test_the_credential_and_a_new_idempotency_key_go_with_each_post(
    platform: Platform, client: Client
) -> None:
    platform.on("POST", "/v1/customers", Reply(201, {"id": "cus_1"}))
    for _ in range(2):
        client.post("/v1/customers", {"name": "Ada"})
    first, second = platform.seen("POST", "/v1/customers")
    assert first.headers["authorization"] == "Bearer sk_test_1"
    assert len(first.headers["idempotency-key"]) >= 16
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
    assert "billplane-livemode" not in first.headers


def test_live_mode_is_asked_for_by_its_header(platform: Platform) -> None:
    platform.on("GET", "/v1/plans", Reply(200, {"data": []}))
    with closing(Client(platform.url, credential=lambda: None, livemode=True)) as client:
        client.get("/v1/plans")
    assert platform.requests[0].headers["billplane-livemode"] == "true"
    assert "authorization" not in platform.requests[0].headers


def test_requests_share_a_connection(platform: Platform, client: Client) -> None:
    platform.on("GET", "/health", Reply(200, {"status": "ok"}))
    for _ in range(5):
        client.get("/health")
    assert platform.connections == 1


def test_a_connection_that_the_server_closed_while_idle_is_opened_again(
    platform: Platform, client: Client
) -> None:
    client.patience_seconds = 0
    platform.on("POST", "/v1/customers", Reply(201, {"id": "1"}, {"Connection": "close"}))
    assert client.post("/v1/customers", {})["id"] == "1"
    assert client.post("/v1/customers", {})["id"] == "1"


def test_a_passing_failure_is_repeated_with_the_same_key(
    platform: Platform, client: Client
) -> None:
    answers = iter([problem(503, "UNAVAILABLE"), problem(409, "IDEMPOTENCY_KEY_IN_USE")])
    platform.on("POST", "/v1/invoices", lambda _: next(answers, Reply(201, {"id": "inv_1"})))
    assert client.post("/v1/invoices", {})["id"] == "inv_1"
    keys = {request.headers["idempotency-key"] for request in platform.requests}
    assert len(platform.requests) == 3
    assert len(keys) == 1


def test_a_refusal_is_not_repeated(platform: Platform, client: Client) -> None:
    platform.on("POST", "/v1/invoices", problem(409, "DISCOUNT_CHANGED"))
    with pytest.raises(ApiError):
        client.post("/v1/invoices", {})
    assert len(platform.requests) == 1


def test_patience_ends_with_the_servers_own_words(platform: Platform, client: Client) -> None:
    client.patience_seconds = 0.3
    platform.on("GET", "/v1/plans", problem(429, "RATE_LIMITED", "too many requests"))
    with pytest.raises(ApiError, match=r"too many requests \(RATE_LIMITED\)"):
        client.get("/v1/plans")
    assert len(platform.requests) > 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ExitCode.INVALID),
        (401, ExitCode.NOT_ALLOWED),
        (403, ExitCode.NOT_ALLOWED),
        (404, ExitCode.NOT_FOUND),
        (409, ExitCode.CONFLICT),
        (422, ExitCode.INVALID),
        (500, ExitCode.FAILED),
    ],
)
def test_each_kind_of_refusal_has_its_exit_code(
    platform: Platform, client: Client, status: int, code: ExitCode
) -> None:
    platform.on("GET", "/v1/plans", problem(status, "REASON"))
    with pytest.raises(ApiError) as caught:
        client.get("/v1/plans")
    assert caught.value.exit_code is code


def test_every_bad_field_is_named(platform: Platform, client: Client) -> None:
    errors = [{"field": "/name", "reason": "REQUIRED", "detail": "must be given"}]
    platform.on("POST", "/v1/customers", problem(422, "INVALID", "wrong", errors=errors))
    with pytest.raises(ApiError, match=r"/name: must be given \(REQUIRED\)"):
        client.post("/v1/customers", {})


def test_a_failure_of_the_server_names_the_request_for_its_logs(
    platform: Platform, client: Client
) -> None:
    platform.on("GET", "/v1/plans", problem(500, "INTERNAL"))
    with pytest.raises(ApiError, match="req_1"):
        client.get("/v1/plans")


def test_nothing_at_the_address_says_how_to_start_a_platform() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        client = Client(url, credential=lambda: None, patience_seconds=0)
        with pytest.raises(UnreachableError) as caught:
            client.get("/health")
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert "billplane up" in caught.value.hint


def test_another_program_at_the_address_is_recognised(platform: Platform, client: Client) -> None:
    platform.on("GET", "/v1/plans", Reply(200, b"<html>"))
    with pytest.raises(CliError, match="not JSON"):
        client.get("/v1/plans")


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(CliError, match="is not an address"):
        Client(url, credential=lambda: None)


@pytest.mark.parametrize(("limit", "count"), [(None, 450), (0, 0), (7, 7), (200, 200), (449, 449)])
def test_a_list_is_read_over_as_many_pages_as_it_takes(
    platform: Platform, client: Client, limit: int | None, count: int
) -> None:
    def page(request: Request) -> Reply:
        start, size = int(request.query.get("cursor", "0")), int(request.query["limit"])
        end = min(start + size, 450)
        cursor = str(end) if end < 450 else None
        return Reply(200, {"data": [{"n": n} for n in range(start, end)], "next_cursor": cursor})

    platform.on("GET", "/v1/customers", page)
    found = [item["n"] for item in client.pages("/v1/customers", {"state": None}, limit=limit)]
    assert found == list(range(count))
    assert all("state" not in request.query for request in platform.requests)


def test_a_segment_of_a_path_cannot_leave_its_place() -> None:
    assert path_of("v1", "invoices", "../keys?x#y") == "/v1/invoices/..%2Fkeys%3Fx%23y"
    assert path_of("v1", "invoices", "inv_1:void") == "/v1/invoices/inv_1:void"
