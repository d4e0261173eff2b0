"""What people of the operating company do for tenants, over REST and gRPC."""

import hashlib
import hmac
import json
import time

import grpc
import pytest
from billplane.protos.admin.v1 import admin_pb2, admin_pb2_grpc
from billplane.protos.payment.v1 import events_pb2 as payment

from tests.chassis.waiting import eventually
from tests.fixtures.facts import tell

KEY = "a-staff-key-that-is-long-enough-0001"
WEBHOOK_SECRET = "whsec_of_a_test"


@pytest.fixture(scope="module")
async def attended(make_stores, run_platform):
    """Run every service with a staff key, and with Stripe as a processor that sends webhooks."""
    async with run_platform(
        await make_stores(),
        BILLPLANE_ADMIN_KEY=KEY,
        BILLPLANE_PAYMENT_STRIPE_API_KEY="sk_test_of_a_test",
        BILLPLANE_PAYMENT_STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET,
    ) as found:
        yield found


@pytest.fixture
def impatient(monkeypatch):
    """Give a message up after a second."""
    monkeypatch.setattr("billplane.chassis.events.transport.RETRY_SECONDS", 0.05)
    monkeypatch.setattr("billplane.chassis.events.redis_streams.BLOCK_MILLISECONDS", 20)


class Staff:
    """Somebody with the staff key, who acts for one tenant."""

    def __init__(self, platform, tenant):
        self.platform = platform
        self.tenant = tenant

    async def call(self, method, path, expect=200, **headers):
        headers = {"X-Admin-Key": KEY, "Billplane-Tenant": self.tenant, **headers}
        return await self.platform.request(method, path, headers=headers, expect=expect)

    async def letter(self):
        """Have invoice fail on a message for good."""
        fact = payment.PaymentSucceeded(invoice_id="inv_nowhere", amount_minor=1)
        await tell(self.platform, fact, "pi_1", self.tenant)

        async def found():
            return (await self.call("GET", "/admin/dead_letters?service=invoice"))["data"]

        return (await eventually(found, 60))[0]

    async def actions(self, count):
        """Return what the audit log says of staff, oldest first."""

        async def enough():
            path = "/admin/audit_log?message=staff.acted"
            found = (await self.call("GET", path))["data"]
            return found if len(found) >= count else None

        return list(reversed(await eventually(enough)))


@pytest.mark.usefixtures("impatient")
async def test_dead_letters_are_listed_replayed_and_discarded_and_the_audit_log_says_by_whom(
    attended,
):
    staff = Staff(attended, "ten_admin")
    letter = await staff.letter()
    assert (letter["service"], letter["consumer"]) == ("invoice", "settle_by_payment")
    assert letter["reason"] == "INVOICE_NOT_FOUND"
    path = f"/admin/dead_letters/invoice/{letter['id']}"
    refused = await staff.call("POST", f"{path}:replay", 409)
    assert refused["reason"] == "REPLAY_FAILED"
    key = {"Idempotency-Key": "discard-once"}
    assert await staff.call("POST", f"{path}:discard", **key) == letter
    assert await staff.call("POST", f"{path}:discard", **key) == letter
    assert (await staff.call("POST", f"{path}:discard", 404))["reason"] == "DEAD_LETTER_NOT_FOUND"
    assert (await staff.call("GET", "/admin/dead_letters?service=invoice"))["data"] == []
    (entry,) = await staff.actions(1)
    fingerprint = hashlib.sha256(KEY.encode()).hexdigest()[:12]
    assert entry["payload"] == {
        "action": "dead_letters.discard",
        "actor": f"key:{fingerprint}",
        "role": "platform",
        "target": f"invoice/{letter['id']}",
        "detail": f"payment.succeeded for settle_by_payment, event {letter['event_id']}",
    }


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"Billplane-Tenant": ""}, 422, "TENANT_REQUIRED"),
        ({"X-Admin-Key": "wrong-and-as-long-as-a-staff-key-0001"}, 401, "CREDENTIAL_INVALID"),
    ],
)
async def test_staff_says_who_it_is_and_for_whom_it_acts(attended, headers, status, reason):
    staff = Staff(attended, "ten_admin")
    for path in ("/admin/dead_letters?service=tax", "/admin/audit_log"):
        assert (await staff.call("GET", path, status, **headers))["reason"] == reason


async def test_an_owner_of_a_tenant_is_no_staff(attended):
    headers = attended.headers("ten_admin")
    for method, path in (
        ("GET", "/admin/dead_letters?service=tax"),
        ("GET", "/admin/audit_log"),
        ("POST", "/admin/dead_letters/tax/dlq_1:replay"),
        ("POST", "/admin/dead_letters/tax/dlq_1:discard"),
    ):
        problem = await attended.request(method, path, headers=headers, expect=403)
        assert problem["reason"] == "STAFF_ONLY"


@pytest.mark.parametrize("service", ["nobody", "169.254.169.254", "Tax", "tax:1/..", "%2e"])
async def test_a_service_that_is_none_is_not_dialled(attended, service):
    staff = Staff(attended, "ten_admin")
    path = f"/admin/dead_letters?service={service}"
    assert (await staff.call("GET", path, 404))["reason"] == "SERVICE_NOT_FOUND"


async def test_the_same_over_grpc(attended):
    metadata = [("x-admin-key", KEY), ("billplane-tenant", "ten_admin_grpc")]
    async with attended.channel() as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        page = await stub.ListDeadLetters(
            admin_pb2.ListDeadLettersRequest(service="payment"), metadata=metadata
        )
        assert not page.dead_letters
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListAuditEntries(
                admin_pb2.ListAuditEntriesRequest(), metadata=attended.metadata("ten_admin_grpc")
            )
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        for call, request in (
            (stub.ReplayDeadLetter, admin_pb2.ReplayDeadLetterRequest),
            (stub.DiscardDeadLetter, admin_pb2.DiscardDeadLetterRequest),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request(service="payment", id="dlq_1"), metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def send(platform, body, signature):
    url = platform.url("/admin/webhooks/stripe")
    headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
    async with platform.http.post(url, data=body, headers=headers) as answer:
        return answer.status, await answer.json()


def signed(body, at=None, secret=WEBHOOK_SECRET):
    at = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


async def test_stripes_webhook_is_taken_in_where_its_signature_is_right(attended):
    event = {
        "id": "evt_of_stripe",
        "object": "event",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_of_nobody", "object": "payment_intent"}},
    }
    body = json.dumps(event, indent=2).encode()
    assert await send(attended, body, signed(body)) == (
        200,
        {"id": "evt_of_stripe", "duplicate": False},
    )
    old = signed(body, at=int(time.time()) - 301)
    for wrong in ("", "t=1,v1=0", old, signed(body, secret="whsec_other"), signed(body + b" ")):
        status, problem = await send(attended, body, wrong)
        assert (status, problem["reason"]) == (422, "PROCESSOR_SIGNATURE_INVALID")
