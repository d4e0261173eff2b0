"""Bad input gets a clear error: which reason, which field; nothing is stored, nothing breaks."""

import asyncpg
import grpc
import pytest
from billplane import catalog
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from structlog.testing import capture_logs

from tests.every_service.bad_input.amounts import NUMBERS
from tests.every_service.bad_input.bodies import BODIES
from tests.every_service.bad_input.doors import HEADERS, ROUTES
from tests.every_service.bad_input.shapes import EVENT, INVOICE
from tests.every_service.bad_input.texts import PAGES, TEXTS
from tests.every_service.bad_input.times import TIMES
from tests.every_service.bad_input.words import WORDS
from tests.every_service.estate import JANUARY, Estate
from tests.every_service.wire import exchange

EVERY = [*BODIES, *NUMBERS, *TIMES, *WORDS, *TEXTS, *PAGES, *HEADERS, *ROUTES]
PASSING = ["alembic_version", "outbox", "inbox"]


@pytest.fixture(scope="module")
async def estate(platform):
    """Give a tenant that has something to send bad input to."""
    estate = await Estate(platform, "ten_bad_input", "mine").fill()
    await estate.send("GET", f"/v1/usage?meter=api&customer_id=ada&{JANUARY}", expect=200)
    return estate


@pytest.fixture
async def nothing_changes(estate):
    """Hold a test to it that no table gains or loses a row, and that the log has no defect."""
    before = await _counted(estate)
    with capture_logs() as logs:
        yield
    assert await _counted(estate) == before
    assert [entry for entry in logs if "exc_info" in entry or entry["log_level"] == "error"] == []


async def _counted(estate):
    connection = await asyncpg.connect(estate.platform.stores.admin_url)
    try:
        tables = await connection.fetch(
            "SELECT schemaname || '.' || tablename AS name FROM pg_tables"
            " WHERE schemaname = ANY ($1::text[]) AND NOT tablename = ANY ($2::text[])",
            list(catalog.SERVICES),
            PASSING,
        )
        counts = " UNION ALL ".join(
            f"SELECT '{table['name']}', count(*) FROM {table['name']} WHERE tenant_id = $1"
            for table in tables
        )
        return dict(await connection.fetch(counts, estate.tenant))
    finally:
        await connection.close()


@pytest.mark.parametrize("bad", EVERY, ids=lambda bad: bad.name)
async def test_bad_input_is_refused_with_its_reason(platform, estate, nothing_changes, bad):
    token = platform.token(estate.tenant).encode()
    answer = await exchange(
        8080 + platform.port_offset,
        bad.method,
        bad.path.encode(),
        {"Authorization": b"Bearer " + token, **bad.headers},
        bad.bytes(),
    )
    assert answer.status in bad.status, answer
    if answer.status == 200:
        return  # harmless after all
    problem = answer.problem
    assert problem["status"] == answer.status
    assert problem["reason"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    if bad.reasons:
        assert problem["reason"] in bad.reasons, problem
    if bad.field is not None:
        assert (problem["field"] or "").lstrip("/").startswith(bad.field.lstrip("/")), problem


async def test_an_id_that_was_used_for_another_event_is_refused(estate, nothing_changes):
    event = EVENT | {"id": "e-1", "data": {"units": 6, "region": "other"}}
    problem = await estate.send("POST", "/v1/usage_events", event, expect=409)
    assert (problem["reason"], problem["field"]) == ("EVENT_ID_REUSED", "/id")


async def test_one_bad_event_keeps_a_thousand_out(estate, nothing_changes):
    events = [EVENT | {"id": f"many-{number}"} for number in range(999)]
    spoilt = [*events, EVENT | {"id": "many-999", "data": {"units": "1e400"}}]
    problem = await estate.send("POST", "/v1/usage_events", spoilt, expect=422)
    assert [item["index"] for item in problem["errors"]] == [999]
    usage = await estate.send("GET", f"/v1/usage?meter=api&customer_id=ada&{JANUARY}")
    assert [row["event_count"] for row in usage["data"]] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "Ada 🥨 & Söhne",
        "👩‍👩‍👧‍👦",
        "العربية",
        "日本語",
        "e\u0301 é",
        "'; DROP TABLE x; --",
        "a\tb\nc",
    ],
)
async def test_free_text_is_kept_exactly(estate, text):
    customer = await estate.make("/v1/customers", {"name": text, "metadata": {text: text}})
    found = await estate.send("GET", f"/v1/customers/{customer['id']}", expect=200)
    assert (found["name"], found["metadata"]) == (text, {text: text})
    line = {"description": text, "unit_amount": "1"}
    body = INVOICE | {"customer_id": customer["id"], "lines": [line]}
    made = await estate.make("/v1/invoices", body)
    read = await estate.send("GET", f"/v1/invoices/{made['id']}", expect=200)
    assert read["lines"][0]["description"] == text
    event = EVENT | {"id": text.replace("\t", " ").replace("\n", " "), "data": {"units": 1}}
    event["data"]["region"] = text
    await estate.make("/v1/usage_events", event | {"subject": customer["id"]}, 202)
    usage = await estate.send(
        "GET", f"/v1/usage?meter=api&customer_id={customer['id']}&group_by=region&{JANUARY}"
    )
    assert [row["dimensions"]["region"] for row in usage["data"]] == [text]


# gRPC ------------------------------------------------------------------------------------------

GARBAGE = (b"\xff\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x00", b"\x0b" * 200)


async def test_bytes_that_are_no_message_are_refused(service, platform, estate, nothing_changes):
    metadata = platform.metadata(estate.tenant)
    async with platform.channel() as channel:
        for rpc in catalog.load(service).rpc:
            for method in rpc.descriptor.methods:
                call = channel.unary_unary(f"/{rpc.full_name}/{method.name}")
                for garbage in GARBAGE:
                    code, _ = await _refusal(call, garbage, metadata)
                    assert code in CLEAR, f"{method.name} {garbage!r} {code}"


CLEAR = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
}


async def _refusal(call, request, metadata):
    """Return the code and the named fields of a refused call, OK and none for another."""
    try:
        await call(request, metadata=metadata, timeout=20)
    except grpc.aio.AioRpcError as error:
        fields = []
        for key, value in error.trailing_metadata():
            if key == "grpc-status-details-bin":
                for detail in status_pb2.Status.FromString(value).details:
                    bad = error_details_pb2.BadRequest()
                    if detail.Unpack(bad):
                        fields += [item.field for item in bad.field_violations]
        return error.code(), fields
    return grpc.StatusCode.OK, []


def _spoilt(descriptor, number):
    """Give one request of every field in turn with a value out of range, and the field's name."""
    for field in descriptor.fields:
        request = GetMessageClass(descriptor)()
        if field.message_type is not None and field.message_type.name == "Timestamp":
            stamp = getattr(request, field.name)
            stamp.seconds, stamp.nanos = number, -1
        elif field.type == field.TYPE_STRING and not field.is_repeated:
            setattr(request, field.name, "a\0b")
        elif field.type == field.TYPE_STRING:
            getattr(request, field.name).append("a\0b")
        elif field.name == "page_size":
            request.page_size = -(2**31)
        else:
            continue
        yield field.name, request


@pytest.mark.parametrize("number", [2**62, -(2**62), 253_402_300_799])
async def test_no_value_of_a_field_breaks_a_call(
    service, platform, estate, nothing_changes, number
):
    metadata = platform.metadata(estate.tenant, subject="service:probe")
    async with platform.channel() as channel:
        for rpc in catalog.load(service).rpc:
            for method in rpc.descriptor.methods:
                call = channel.unary_unary(f"/{rpc.full_name}/{method.name}")
                for name, request in _spoilt(method.input_type, number):
                    code, fields = await _refusal(call, request.SerializeToString(), metadata)
                    broken = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
                    assert code not in broken, f"{method.name}.{name}: {code}"
                    if "\0" in str(getattr(request, name, "")):
                        assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, [name])


async def test_a_page_token_that_is_none_is_refused(service, platform, estate, nothing_changes):
    metadata = platform.metadata(estate.tenant, subject="service:probe")
    async with platform.channel() as channel:
        for rpc in catalog.load(service).rpc:
            for method in rpc.descriptor.methods:
                if "page_token" not in method.input_type.fields_by_name:
                    continue
                call = channel.unary_unary(f"/{rpc.full_name}/{method.name}")
                for token in ("abc", "x" * 5000, "MXp6eg"):
                    request = GetMessageClass(method.input_type)(page_token=token)
                    code, _ = await _refusal(call, request.SerializeToString(), metadata)
                    assert code in CLEAR | {grpc.StatusCode.OK}, f"{method.name} {token[:9]}"
