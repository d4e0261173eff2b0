"""Two tenants under the same names, and the two modes of one, never see each other."""

import json
import re

import grpc
import pytest
from billplane import catalog
from billplane.chassis.middleware import match
from google.protobuf.message_factory import GetMessageClass

from tests.every_service.estate import JANUARY, Estate, plan

# What a request must say so that nothing but the missing thing is wrong with it.
BODIES = {
    ("patch", "/v1/customers/{customer}"): {"name": "taken over"},
    ("patch", "/v1/exchange_rate_feeds/{feed}"): {"spec": {"displayName": "taken over"}},
    ("patch", "/v1/invoices/{invoice_id}"): {"metadata": {"taken": "over"}},
    ("post", "/v1/subscriptions/{subscription_id}:change"): {"plan": "pro"},
    ("post", "/v1/subscriptions/{subscription_id}:preview_change"): {"plan": "pro"},
    ("patch", "/v1/meters/{meter}"): {"spec": {"displayName": "taken over"}},
    ("patch", "/v1/plans/{plan}"): {"spec": {"displayName": "taken over"}},
    ("patch", "/v1/utility_providers/{provider}"): {"spec": {"displayName": "taken over"}},
    ("patch", "/v1/wallets/{wallet_id}"): {"metadata": {"taken": "over"}},
    ("post", "/v1/events/{event_id}/retry"): {"webhook_endpoint": "we_x"},
    ("post", "/v1/webhook_endpoints/{webhook_endpoint_id}"): {"description": "taken over"},
    ("post", "/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret"): {},
    ("post", "/v1/wallets/{wallet_id}:adjust"): {"amount_minor": 1, "reason": "taken over"},
    ("post", "/v1/wallets/{wallet_id}:charge"): {"amount_minor": 1},
    ("post", "/v1/wallets/{wallet_id}:grant"): {"amount_minor": 1, "kind": "promotional"},
    ("post", "/v1/wallets/{wallet_id}:reserve"): {"amount_minor": 1},
    ("post", "/v1/wallets/{wallet_id}:top_up"): {"amount_minor": 1, "manual_reason": "taken"},
    ("post", "/v1/payment_methods/{payment_method}/attach"): {"customer": "ada"},
    ("post", "/v1/tax_rules/{rule_id}:replace"): {"valid_from": "2030-01-01", "rate": "0.1"},
    ("post", "/v1/test_clocks/{clock_id}:advance"): {"to": "2026-06-01T00:00:00Z"},
}
# Paths whose parameters name no row: a currency or a pair, a customer that usage may name freely,
# and a wording that each tenant has under the same name, a processor, and a secret of a payer.
FREE = (
    "/v1/exchange_rates/{base}/{quote}",
    "/v1/currencies/{code}",
    "/v1/price_secrets/{name}/{key}",
    "/api/v1/billing/{customer_id}",
    "/v1/notification_templates/{template}/{locale}",
    "/payments/webhooks/{processor}",
    "/payments/authentications/{token}",
    "/payments/authentications/{token}/complete",
    "/payments/authentications/{token}/fail",
)
# A tenant's two modes share these, as they share the tenant's settings.
SHARED = ("meter", "plan", "price_id", "feed", "rule_id", "key_id", "provider")
# Fields of requests that may name a row.
NAMING = {"id", "account_id", "customer_id", "plan_id", "subscription_id", "plan", "meter", "feed"}
INTERNAL = {
    # Staff alone, who is neither a key nor a user.
    "admin": {
        *("ListDeadLetters", "ReplayDeadLetter", "DiscardDeadLetter", "ListAuditEntries"),
        *("ListStaff", "GrantStaff", "RevokeStaff"),
    },
    "billing_core": set(),
    "discount": {"ApplyDiscounts", "ReverseDiscounts"},
    "exchange_rate": {"ApplyFeed", "RemoveFeed", "ListApplied", "ProvideSource"},
    "gateway": set(),
    "identity": {
        *("ValidateKey", "ValidateToken", "CreateTenant", "GetTenant", "CreateTestKey"),
        *("GetStaffRole", "GrantStaff", "RevokeStaff", "ListStaff"),
    },
    "invoice": set(),
    "ledger": set(),
    "listener": set(),
    "metering": {"ApplyMeter", "RemoveMeter", "ListApplied"},
    "notification": set(),
    "payment": {"ReceiveProcessorEvent"},
    "pricing": {"ApplyPlan", "RemovePlan", "ListApplied", "ProvideSecrets"},
    "subscription": set(),
    "tax": set(),
    "utility_provider": {"ApplyProvider", "RemoveProvider", "ListApplied"},
}


@pytest.fixture(scope="module")
async def owner(platform):
    """Give the tenant that has something to lose, in test mode."""
    owner = await Estate(platform, "ten_walk_a", "only A may see this").fill()
    owner.ids["key_id"] = await _make_key(platform, owner)
    return owner


async def _make_key(platform, owner):
    made = await platform.request(
        "POST", "/auth/api_keys", json={"name": owner.mark}, headers=owner.headers, expect=201
    )
    return made["id"]


@pytest.fixture(scope="module")
async def stranger(platform, owner):
    """Give another tenant that uses every name that the owner uses."""
    return await Estate(platform, "ten_walk_b", "only B may see this").fill()


@pytest.fixture(scope="module")
async def live(platform, owner):
    """Give the owner's live mode."""
    estate = Estate(platform, owner.tenant, "only live mode may see this", livemode=True)
    return await estate.fill(resources=False)


def operations(platform):
    """Name every operation of the services that tenants use; admin is for staff, who sees all."""
    for service in set(catalog.SERVICES) - {"admin"}:
        if catalog.load(service).front is None:
            app = catalog.load(service)
            document = platform.platform.runtimes[service].openapi
            for path, methods in document["paths"].items():
                route = match(app.routes, path)
                stripe = route is not None and route.dialect == "stripe"
                for method in methods:
                    yield method, path, {"Stripe-Version": "2026-01-01"} if stripe else {}


async def assert_closed(platform, owner, caller, skipped=()):
    """Try every operation of every service on each of the owner's ids as the caller."""
    tried = 0
    before = await owner.stored()
    for method, template, dialect in operations(platform):
        names = re.findall(r"\{(\w+)\}", template)
        if not names or template in FREE or names[0] in skipped:
            continue
        values = [owner.ids[names[0]]]
        other = {"invoice_id": "draft_id", "transaction_id": "hold_id"}.get(names[0])
        if other is not None:
            values.append(owner.ids[other])
        for value in values:
            path = template.replace(f"{{{names[0]}}}", value)
            async with platform.http.request(
                method,
                platform.url(path),
                headers=caller.headers | dialect,
                json=BODIES.get((method, template)),
            ) as answer:
                text = await answer.text()
                assert answer.status == 404, f"{method} {path}: {answer.status} {text}"
                assert owner.mark not in text
                tried += 1
    assert await owner.stored() == before
    return tried


async def test_no_route_gives_or_changes_what_another_tenant_owns(platform, owner, stranger):
    assert await assert_closed(platform, owner, stranger) > 30


async def test_a_mode_neither_gives_nor_changes_what_the_other_owns(platform, owner, live):
    assert await assert_closed(platform, owner, live, skipped=SHARED) > 15
    assert await assert_closed(platform, live, owner, skipped=(*SHARED, "clock_id")) > 15


async def test_lists_hold_what_is_the_callers_and_nothing_else(platform, owner, stranger, live):
    estates = (owner, stranger, live)
    lists = [
        (path, dialect)
        for method, path, dialect in operations(platform)
        if method == "get" and "{" not in path and path != "/auth/me"
    ]
    for path, dialect in lists:
        query = f"?meter=api&customer_id=ada&{JANUARY}&group_by=region" * (path == "/v1/usage")
        for caller in estates:
            async with platform.http.get(
                platform.url(path + query), headers=caller.headers | dialect
            ) as answer:
                text = await answer.text()
                assert answer.status == 200, f"{path}: {text}"
            for other in estates:
                if other.tenant == caller.tenant:
                    continue
                assert other.mark not in text, path
                assert not [value for value in other.ids.values() if value in text], path
    owned = {
        "/v1/customers": {"customer"},
        "/v1/subscriptions": {"subscription_id"},
        "/v1/invoices": {"invoice_id", "draft_id"},
        "/v1/credit_notes": {"credit_note_id"},
        "/v1/coupons": {"coupon_id"},
        "/v1/tax_calculations": {"calculation_id"},
        "/v1/billing_runs": {"run_id"},
        "/v1/wallets": {"wallet_id"},
        "/v1/payment_intents": {"intent"},
        "/v1/payment_methods": {"payment_method"},
        "/v1/charges": {"charge"},
        "/v1/refunds": {"refund"},
        "/v1/disputes": {"dispute"},
        "/v1/ledger/accounts": {"account_id"},
        "/ledger/transactions": {"transaction_id", "hold_id"},
        "/v1/events?limit=100": {"event_id"},
        "/v1/webhook_endpoints": {"webhook_endpoint_id"},
        "/v1/webhook_deliveries": {"delivery_id"},
        "/v1/notifications": {"notification_id"},
    }
    for path, names in owned.items():
        for caller in estates:
            found = {item["id"] for item in (await caller.send("GET", path))["data"]}
            assert {caller.ids[name] for name in names} <= found, path
            others = [other for other in estates if other is not caller]
            assert not {other.ids[name] for other in others for name in names} & found, path


async def test_the_same_name_leads_each_caller_to_its_own(owner, stranger, live):
    for estate in (owner, stranger, live):
        customer = await estate.send("GET", "/v1/customers/ada", expect=200)
        assert (customer["id"], customer["name"]) == (estate.ids["customer"], estate.mark)
        coupon = await estate.send("GET", "/v1/coupons/WELCOME", expect=200)
        assert coupon["id"] == estate.ids["coupon_id"]
        assert coupon["redemptions"] == 1

        assert customer["external_id"] == "ada"
        sale = await estate.send("GET", "/v1/ledger/transactions/sale", expect=200)
        assert (sale["id"], sale["description"]) == (estate.ids["transaction_id"], estate.mark)
        account = await estate.send("GET", "/ledger/accounts/bank", expect=200)
        assert (account["id"], account["balance_minor"]) == (estate.ids["account_id"], -10)
    for estate in (owner, stranger):
        found = await estate.send("GET", "/v1/plans/pro", expect=200)
        assert (found["id"], found["spec"]["displayName"]) == (estate.ids["plan"], estate.mark)
        assert (await estate.send("GET", "/v1/meters/api"))["id"] == estate.ids["meter"]
        feed = await estate.send("GET", "/v1/exchange_rate_feeds/manual")
        assert feed["id"] == estate.ids["feed"]
        provider = await estate.send("GET", "/v1/utility_providers/grid")
        assert provider["id"] == estate.ids["provider"]
        usage = await estate.send(
            "GET", f"/v1/usage?meter=api&customer_id=ada&{JANUARY}&group_by=region", expect=200
        )
        assert [row["dimensions"]["region"] for row in usage["data"]] == [estate.mark]
    usage = await live.send("GET", f"/v1/usage?meter=api&customer_id=ada&{JANUARY}", expect=200)
    assert usage["data"] == []


async def test_no_body_can_name_what_another_tenant_owns(owner, stranger):
    theirs, before = owner.ids, await owner.stored()
    lines = [{"description": "x", "unit_amount": "1"}]
    refused = [
        ("/v1/subscriptions", {"customer_id": theirs["customer"], "plan": "pro"}),
        ("/v1/subscriptions", {"customer_id": "ada", "plan": theirs["plan"]}),
        ("/v1/customers", {"name": "x", "test_clock_id": theirs["clock_id"]}),
        (
            "/v1/invoices",
            {"customer_id": theirs["customer"], "currency_code": "EUR", "lines": lines},
        ),
        (
            "/v1/invoices/preview",
            {"customer_id": theirs["customer"], "currency_code": "EUR", "lines": lines},
        ),
        ("/v1/quotes", {"plan": theirs["plan"]}),
        ("/v1/billing_runs", {"customer_ids": [theirs["customer"]]}),
        (
            "/v1/exchange_rates:convert",
            {"amount_minor": 1, "currency_code": "EUR", "to": "USD", "feed": theirs["feed"]},
        ),
        (
            "/v1/ledger/transactions",
            {
                "currency_code": "EUR",
                "postings": [
                    {"account_id": "till", "direction": "debit", "amount_minor": 1},
                    {
                        "account_id": theirs["account_id"],
                        "direction": "credit",
                        "amount_minor": 1,
                    },
                ],
            },
        ),
        (
            "/v1/tax_calculations",
            {
                "customer": {"country": "DE"},
                "currency_code": "EUR",
                "lines": [{"line_id": "1", "amount_minor": 1, "rule_id": theirs["rule_id"]}],
            },
        ),
    ]
    for path, body in refused:
        problem = await stranger.send("POST", path, body)
        assert problem.get("status") in (404, 409, 422), f"{path}: {problem}"
        assert owner.mark not in json.dumps(problem)
    assert await owner.stored() == before


async def test_a_plan_of_one_tenant_prices_nothing_of_another(owner, stranger):
    changed = {"spec": plan(stranger.mark) | {"charges": plan("")["charges"][:1]}}
    await stranger.send("PATCH", "/v1/plans/pro", changed, expect=200)
    assert (await stranger.send("GET", "/v1/plans/pro"))["version"] == 2
    assert (await owner.send("GET", "/v1/plans/pro"))["version"] == 1


# RPCs ------------------------------------------------------------------------------------------


def requests_for(method, owner):
    """Give requests of a method that name the owner's things wherever a text can name one."""
    request_class = GetMessageClass(method.input_type)
    fields = method.input_type.fields_by_name
    for value in sorted(set(owner.ids.values())):
        request = request_class()
        for name in NAMING.intersection(fields.keys()):
            setattr(request, name, value)
        if "reference" in fields:
            request.reference = owner.mark
        yield request.SerializeToString()


@pytest.mark.parametrize("subject", ["user:usr_x", "service:probe"])
async def test_no_rpc_gives_or_changes_what_another_tenant_owns(
    service, platform, owner, stranger, subject
):
    before = await owner.stored()
    metadata = platform.metadata(stranger.tenant, subject=subject)
    async with platform.channel() as channel:
        for rpc in catalog.load(service).rpc:
            for method in rpc.descriptor.methods:
                call = channel.unary_unary(f"/{rpc.full_name}/{method.name}")
                for request in requests_for(method, owner):
                    text = await _answer_of(call, request, metadata)
                    assert owner.mark.encode() not in text, method.name
    after = await owner.stored()
    assert after == before


async def _answer_of(call, request, metadata):
    try:
        return await call(request, metadata=metadata, timeout=10)
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
            raise
        return (error.details() or "").encode()


async def test_rpcs_between_services_refuse_keys_and_users(service, platform):
    refusing = set()
    async with platform.channel() as channel:
        for rpc in catalog.load(service).rpc:
            for method in rpc.descriptor.methods:
                call = channel.unary_unary(f"/{rpc.full_name}/{method.name}")
                request = GetMessageClass(method.input_type)()
                if "currency_code" in method.input_type.fields_by_name:
                    request.currency_code = "EUR"
                codes = set()
                for subject in ("user:usr_x", "key:abc"):
                    try:
                        metadata = platform.metadata("ten_x", subject=subject)
                        await call(request.SerializeToString(), metadata=metadata)
                        codes.add(grpc.StatusCode.OK)
                    except grpc.aio.AioRpcError as error:
                        codes.add(error.code())
                if codes == {grpc.StatusCode.PERMISSION_DENIED}:
                    refusing.add(method.name)
    assert refusing == INTERNAL[service]
