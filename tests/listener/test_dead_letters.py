"""Reactions that fail: tried again, set aside, replayed, while all else goes on."""

import asyncpg
import grpc
import pytest
from billplane.chassis.events import redis_streams, transport
from billplane.protos.listener.v1 import listener_pb2 as pb
from billplane.protos.listener.v1 import listener_pb2_grpc

from tests.chassis.waiting import eventually
from tests.listener.test_rest import CALCULATION, calculated, entries

TENANT = "ten_letters"
REFUSE = "REVOKE INSERT ON listener.audit_entries FROM listener_app"
ALLOW = "GRANT INSERT ON listener.audit_entries TO listener_app"


@pytest.fixture
async def platform(make_stores, run_platform, monkeypatch):
    """Run a service that says facts, and the listener, with short waits."""
    monkeypatch.setattr(transport, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(redis_streams, "BLOCK_MILLISECONDS", 50)
    async with run_platform(await make_stores(), ("listener", "tax")) as found:
        yield found


async def administer(platform, statement):
    connection = await asyncpg.connect(platform.stores.admin_url)
    await connection.execute(statement)
    await connection.close()


async def failed(platform, headers):
    """Let the audit log refuse one fact, and return its dead letter."""
    await administer(platform, REFUSE)
    made = await platform.request(
        "POST", "/v1/tax_calculations", json=CALCULATION, headers=headers, expect=201
    )

    async def letters():
        page = await platform.request("GET", "/v1/dead_letters", headers=headers, expect=200)
        return page["data"]

    (letter,) = await eventually(letters)
    await administer(platform, ALLOW)
    assert letter["aggregate_id"] == made["id"]
    return letter


async def test_a_reaction_that_fails_is_set_aside_and_replayed_while_others_go_on(platform):
    headers = platform.headers(TENANT)
    letter = await failed(platform, headers)
    assert (letter["reaction"], letter["message"]) == ("audit_log", "tax.calculated")
    assert letter["attempts"] == 10
    made, _ = await calculated(platform, headers)
    path = f"/v1/dead_letters/{letter['id']}:replay"
    others = [platform.headers("ten_other"), platform.headers(TENANT, livemode=True)]
    for other in others:
        await platform.request("POST", path, headers=other, expect=404)
    key = {"Idempotency-Key": "replay"}
    done = await platform.request("POST", path, headers=headers | key, expect=200)
    assert done == letter
    # The same key is answered from memory, another finds nothing left to do.
    assert await platform.request("POST", path, headers=headers | key, expect=200) == letter
    gone = await platform.request("POST", path, headers=headers, expect=404)
    assert gone["reason"] == "DEAD_LETTER_NOT_FOUND"
    listed = await entries(platform, headers)
    assert [item["aggregate_id"] for item in listed] == [letter["aggregate_id"], made["id"]]
    assert [item["sequence"] for item in listed] == [2, 1]


async def test_a_replay_that_fails_again_says_so_and_keeps_the_letter(platform):
    headers = platform.headers(TENANT)
    letter = await failed(platform, headers)
    await administer(platform, REFUSE)
    refused = await platform.request(
        "POST", f"/v1/dead_letters/{letter['id']}:replay", headers=headers, expect=409
    )
    assert refused["reason"] == "REPLAY_FAILED"
    # What the database said is for the log, not for the tenant.
    assert "INSERT" not in refused["detail"] + letter["detail"]
    await administer(platform, ALLOW)
    viewer = platform.headers(TENANT, scopes=("*:read",))
    await platform.request(
        "POST", f"/v1/dead_letters/{letter['id']}:replay", headers=viewer, expect=403
    )
    async with platform.channel() as channel:
        stub = listener_pb2_grpc.ListenerServiceStub(channel)
        mine = platform.metadata(TENANT)
        listed = await stub.ListDeadLetters(
            pb.ListDeadLettersRequest(reaction="audit_log"), metadata=mine
        )
        assert [item.id for item in listed.dead_letters] == [letter["id"]]
        request = pb.ReplayDeadLetterRequest(id=letter["id"])
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.ReplayDeadLetter(request, metadata=platform.metadata("ten_other"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        done = await stub.ReplayDeadLetter(request, metadata=mine)
        assert done.dead_letter.event_id == letter["event_id"]
        entered = await stub.ListAuditEntries(
            pb.ListAuditEntriesRequest(message="tax.calculated"), metadata=mine
        )
        assert [item.event_id for item in entered.audit_entries] == [letter["event_id"]]
        reactions = await stub.ListReactions(pb.ListReactionsRequest(), metadata=mine)
        assert {item.name for item in reactions.reactions} == {"audit_log", "mirror"}


async def test_a_letter_of_a_reaction_that_is_switched_off_stays(platform):
    headers = platform.headers(TENANT)
    letter = await failed(platform, headers)
    await administer(platform, "UPDATE listener.dead_letters SET consumer = 'mirror'")
    path = f"/v1/dead_letters/{letter['id']}:replay"
    refused = await platform.request("POST", path, headers=headers, expect=409)
    assert "nothing called mirror handles tax.calculated now" in refused["detail"]
    page = await platform.request("GET", "/v1/dead_letters", headers=headers, expect=200)
    assert [item["id"] for item in page["data"]] == [letter["id"]]
