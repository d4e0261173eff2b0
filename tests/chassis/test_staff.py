"""People of the operating company: their key, the tenant that they name, what only they may do."""

import grpc
import pytest
from billplane.chassis.auth import Principal
from billplane.chassis.errors import TenantRequired
from billplane.protos.admin.v1 import admin_pb2, admin_pb2_grpc
from billplane.protos.payment.v1 import events_pb2 as payment

from tests.chassis.waiting import eventually
from tests.fixtures.facts import tell

FIRST, SECOND = "a-staff-key-that-is-long-enough-0001", "its-successor-that-is-long-enough-02"
TENANT = "ten_staff"


@pytest.fixture(scope="module")
async def attended(make_stores, run_platform):
    """Run every service with two staff keys, one of them about to go."""
    stores = await make_stores()
    async with run_platform(stores, BILLPLANE_ADMIN_KEY=f"{FIRST}, {SECOND},short") as found:
        yield found


async def listed(platform, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    url = platform.url("/v1/customers")
    async with platform.http.get(url, headers=names) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("key", [FIRST, SECOND])
async def test_staff_sees_the_tenant_and_mode_that_it_names(attended, key):
    await attended.request(
        "POST",
        "/v1/customers",
        json={"name": "Ada", "external_id": f"ada-{key}"},
        headers=attended.headers(TENANT),
        expect=201,
    )
    status, page = await listed(attended, X_Admin_Key=key, Billplane_Tenant=TENANT)
    assert status == 200
    assert f"ada-{key}" in {customer["external_id"] for customer in page["data"]}
    live = {"Billplane_Livemode": "true"}
    assert await listed(attended, X_Admin_Key=key, Billplane_Tenant=TENANT, **live) == (
        200,
        {"data": [], "next_cursor": None},
    )
    assert (await listed(attended, X_Admin_Key=key, Billplane_Tenant="ten_other"))[1]["data"] == []


@pytest.mark.parametrize("key", ["short", "wrong-and-as-long-as-a-staff-key-0001", FIRST + "x"])
async def test_another_key_opens_nothing(attended, key):
    status, problem = await listed(attended, X_Admin_Key=key, Billplane_Tenant=TENANT)
    assert (status, problem["reason"]) == (401, "CREDENTIAL_INVALID")


async def test_staff_names_a_tenant(attended):
    status, problem = await listed(attended, X_Admin_Key=FIRST)
    assert (status, problem["reason"]) == (422, TenantRequired.reason)


async def test_whoever_names_a_tenant_without_being_staff_stays_in_its_own(attended):
    status, page = await listed(
        attended, Authorization=attended.headers("ten_b")["Authorization"], Billplane_Tenant=TENANT
    )
    assert (status, page["data"]) == (200, [])


async def set_aside(platform, tenant):
    """Have invoice fail on a message for good, and return the dead letter of it."""
    fact = payment.PaymentSucceeded(invoice_id="inv_nowhere", amount_minor=1)
    await tell(platform, fact, "pi_1", tenant)
    async with platform.channel() as channel:
        stub = admin_pb2_grpc.OperationsServiceStub(channel)

        async def found():
            page = await stub.ListServiceDeadLetters(
                admin_pb2.ListServiceDeadLettersRequest(service="invoice"),
                metadata=staff(tenant),
            )
            return page.dead_letters

        return (await eventually(found, 60))[0]


def staff(tenant, key=FIRST):
    return [("x-admin-key", key), ("billplane-tenant", tenant)]


@pytest.fixture
def impatient(monkeypatch):
    """Give a message up after a second."""
    monkeypatch.setattr("billplane.chassis.events.transport.RETRY_SECONDS", 0.05)
    monkeypatch.setattr("billplane.chassis.events.redis_streams.BLOCK_MILLISECONDS", 20)


@pytest.mark.usefixtures("impatient")
async def test_staff_replays_and_discards_dead_letters(attended):
    letter = await set_aside(attended, "ten_letters")
    assert (letter.consumer, letter.reason) == ("settle_by_payment", "INVOICE_NOT_FOUND")
    async with attended.channel() as channel:
        stub = admin_pb2_grpc.OperationsServiceStub(channel)
        replay = admin_pb2.ReplayServiceDeadLetterRequest(service="invoice", id=letter.id)
        with pytest.raises(grpc.aio.AioRpcError, match="failed again") as refused:
            await stub.ReplayServiceDeadLetter(replay, metadata=staff("ten_letters"))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        discard = admin_pb2.DiscardServiceDeadLetterRequest(service="invoice", id=letter.id)
        for metadata in (staff("ten_other"), attended.metadata("ten_letters")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.DiscardServiceDeadLetter(discard, metadata=metadata)
            assert refused.value.code() in (
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.PERMISSION_DENIED,
            )
        gone = await stub.DiscardServiceDeadLetter(discard, metadata=staff("ten_letters"))
        assert gone.dead_letter.id == letter.id
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.DiscardServiceDeadLetter(discard, metadata=staff("ten_letters"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        unknown = admin_pb2.ListServiceDeadLettersRequest(service="nobody")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListServiceDeadLetters(unknown, metadata=staff("ten_letters"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_service_is_no_staff_but_for_the_one_that_asks_for_it():
    assert not Principal("service:tax", "t", livemode=False, scopes=frozenset({"*"})).staff
    Principal("service:admin", "t", livemode=False, scopes=frozenset({"*"})).require_staff()
