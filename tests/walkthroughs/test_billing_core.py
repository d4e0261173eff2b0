"""Who charged prepaid balances with the billing core finds their gRPC client working."""

import json

import pytest
from billplane.chassis import ids

from tests.walkthroughs.notes import Notes

PROGRAM = """
import os, grpc, json
from billplane.protos.billing_core.v1 import billing_core_pb2 as pb, billing_core_pb2_grpc

metadata = [("authorization", f"Bearer {os.environ['CREDENTIAL']}")]
run = os.environ["CUSTOMER"]
customer = {"customer_id": run, "currency_code": "EUR"}
with grpc.insecure_channel("localhost:50052") as channel:
    billing = billing_core_pb2_grpc.BillingServiceStub(channel)
    billing.TopUp(pb.TopUpRequest(**customer, amount_minor=1000, manual_reason="bank transfer",
                                  request_id=f"{run}-top-up-1"), metadata=metadata)
    held = billing.Reserve(pb.ReserveRequest(**customer, amount_minor=300, ttl_seconds=60,
                                             reference="job-1", request_id=f"{run}-reserve-1"),
                           metadata=metadata)
    part = billing.Commit(pb.CommitRequest(reservation_id=held.reservation_id, amount_minor=120,
                                           request_id=f"{run}-commit-1"), metadata=metadata)
    last = billing.Commit(pb.CommitRequest(reservation_id=held.reservation_id, amount_minor=80,
                                           final=True, request_id=f"{run}-commit-2"),
                          metadata=metadata)
    balance = billing.GetBalance(pb.GetBalanceRequest(**customer), metadata=metadata).balance
    try:
        billing.Commit(pb.CommitRequest(reservation_id=held.reservation_id), metadata=metadata)
    except grpc.RpcError as error:
        refused = error.code().name
print(json.dumps({"held": held.balance.available_minor, "remaining": part.remaining_minor,
                  "left": last.remaining_minor, "posted": balance.posted_minor,
                  "reserved": balance.reserved_minor, "available": balance.available_minor,
                  "refused": refused}))
"""
REGISTER = """curl -X POST localhost:8080/auth/register \
-d '{"email":"core@example.com","password":"securepassword"}' -H 'Content-Type: application/json'"""
LOGIN = REGISTER.replace("/auth/register", "/auth/login")
API_KEY = """curl -X POST localhost:8080/auth/api_keys -H "Authorization: Bearer $TOKEN" \
-H 'Content-Type: application/json' -d '{"type":"test","name":"core"}'"""
WALLETS = """curl 'localhost:8080/v1/wallets?customer_id=c-key' -H "Authorization: Bearer $KEY\""""


@pytest.fixture(scope="module")
async def credentials(laptop, tmp_path_factory):
    """Register once; give a user's token and a key."""
    notes = Notes(laptop.port_offset, tmp_path_factory.mktemp("core"))
    email = f"{ids.new('core')}@example.com"
    await notes.run(REGISTER.replace("core@example.com", email), expect=201)
    token = (await notes.run(LOGIN.replace("core@example.com", email), expect=200)).json[
        "access_token"
    ]
    key = (await notes.run(API_KEY, expect=201, TOKEN=token)).json["key"]
    return {"token": token, "key": key}


@pytest.mark.parametrize("kind", ["key", "token"])
async def test_reserve_commit_and_balance_by_port(notes, credentials, kind):
    values = {"CREDENTIAL": credentials[kind], "CUSTOMER": f"c-{kind}"}
    told = json.loads(await notes.python(PROGRAM, **values))
    assert told == {
        "held": 700,
        "remaining": 180,
        "left": 0,
        "posted": 800,
        "reserved": 0,
        "available": 800,
        "refused": "FAILED_PRECONDITION",
    }


async def test_what_was_done_by_grpc_is_seen_by_rest(notes, credentials):
    values = {"CREDENTIAL": credentials["key"], "CUSTOMER": "c-key"}
    await notes.python(PROGRAM, **values)
    found = (await notes.run(WALLETS, expect=200, KEY=credentials["key"])).json["data"]
    assert [item["balance"]["available_minor"] for item in found] == [800]
