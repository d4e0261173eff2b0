"""The listener over REST: reactions and the audit log."""

import pytest
from billplane import catalog
from billplane.listener.service.facts import FACTS
from billplane.listener.service.reactions import REACTIONS

from tests.chassis.waiting import eventually

CALCULATION = {
    "customer": {"country": "DE"},
    "currency_code": "EUR",
    "lines": [{"line_id": "1", "amount_minor": 10_000}],
}


async def entries(platform, headers, query=""):
    page = await platform.request("GET", f"/v1/audit_entries{query}", headers=headers, expect=200)
    return page["data"]


async def calculated(platform, headers):
    made = await platform.request(
        "POST", "/v1/tax_calculations", json=CALCULATION, headers=headers, expect=201
    )

    async def recorded():
        return await entries(platform, headers, f"?aggregate_id={made['id']}")

    return made, (await eventually(recorded))[0]


def test_every_fact_of_every_service_goes_to_the_audit_log():
    every = [
        message
        for name in catalog.SERVICES
        for message in catalog.load(name).messages
        if message.kind == "fact"
    ]
    assert set(FACTS) == set(every)
    logged = [item.message for item in REACTIONS if item.name == "audit_log"]
    assert sorted(item.wire_type for item in logged) == sorted(item.wire_type for item in every)


async def test_what_happens_is_in_the_audit_log_with_its_payload_and_its_cause(platform):
    headers = platform.headers("ten_audit") | {"X-Request-Id": "req_of_mine"}
    made, entry = await calculated(platform, headers)
    assert entry["message"] == "tax.calculated"
    assert entry["source"] == "billplane/tax"
    assert entry["aggregate_id"] == made["id"]
    assert entry["payload"]["calculation_id"] == made["id"]
    assert entry["causation_id"] == "req_of_mine"
    assert (entry["sequence"], entry["previous_hash"]) == (1, "0" * 64)
    found = await platform.request(
        "GET", f"/v1/audit_entries/{entry['id']}", headers=headers, expect=200
    )
    assert found == entry


async def test_entries_of_a_tenant_are_chained_and_listed_in_pages(platform):
    headers = platform.headers("ten_audit_chain")
    made = [await calculated(platform, headers) for _ in range(3)]
    page = await platform.request("GET", "/v1/audit_entries?limit=2", headers=headers, expect=200)
    rest = await platform.request(
        "GET", f"/v1/audit_entries?cursor={page['next_cursor']}", headers=headers, expect=200
    )
    listed = [*page["data"], *rest["data"]]
    assert [item["sequence"] for item in listed] == [3, 2, 1]
    assert [item["previous_hash"] for item in listed[:2]] == [item["hash"] for item in listed[1:]]
    assert {item["aggregate_id"] for item in listed} == {item["id"] for item, _ in made}
    only = await entries(platform, headers, "?message=invoice.created")
    assert only == []


@pytest.mark.parametrize("scopes", [("*:read",), ("*:read", "*:write"), ("reactions:write",)])
async def test_the_audit_log_is_not_for_viewers_and_developers(platform, scopes):
    headers = platform.headers("ten_audit", scopes=scopes)
    refused = await platform.request("GET", "/v1/audit_entries", headers=headers, expect=403)
    assert refused["reason"] == "SCOPE_MISSING"
    assert refused["metadata"]["scope"] == "audit_entries:read"


@pytest.mark.parametrize("scope", ["*", "audit_entries:read"])
async def test_the_audit_log_is_for_whoever_has_its_scope_or_all(platform, scope):
    headers = platform.headers("ten_audit_scope", scopes=(scope,))
    assert await entries(platform, headers) == []


async def test_reactions_are_listed_with_message_condition_and_task(platform):
    headers = platform.headers("ten_reactions", scopes=("reactions:read",))
    page = await platform.request("GET", "/v1/reactions", headers=headers, expect=200)
    by_key = {(item["name"], item["message"]): item for item in page["data"]}
    audit = by_key["audit_log", "invoice.finalized"]
    assert audit["condition"] == "Every message of the type."
    assert audit["task"].startswith("Append a fact to the tenant's audit log")
    assert audit["enabled"] is True
    # There is no broker that takes copies on a laptop, and that is said.
    assert by_key["mirror", "invoice.finalized"]["enabled"] is False
