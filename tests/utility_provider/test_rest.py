"""REST of utility_provider: the registry by the API, and what probes find."""

import pytest

from tests.utility_provider.specs import spec

PATH = "/v1/utility_providers"


async def _made(platform, tenant, name="north", **changes):
    headers = platform.headers(tenant)
    body = {"name": name, "spec": spec(**changes)}
    made = await platform.request("POST", PATH, json=body, headers=headers, expect=201)
    return headers, made


async def test_a_provider_is_made_read_changed_and_deleted(platform):
    headers, made = await _made(platform, "ten_up1", url="https://utility.example/api")
    assert made["endpoint"] == "https://utility.example/api"
    assert (made["origin"], made["version"], made["reachability"]) == ("api", 1, "unknown")
    patch = {"spec": {"displayName": "Northwind", "region": None}}
    changed = await platform.request(
        "PATCH", f"{PATH}/north", json=patch, headers=headers, expect=200
    )
    assert changed["version"] == 2
    assert changed["spec"]["displayName"] == "Northwind"
    assert "region" not in changed["spec"]
    found = await platform.request("GET", f"{PATH}/{made['id']}", headers=headers, expect=200)
    assert found == changed
    await platform.request("DELETE", f"{PATH}/north", headers=headers, expect=204)
    gone = await platform.request("GET", f"{PATH}/{made['id']}", headers=headers, expect=404)
    assert gone["reason"] == "PROVIDER_NOT_FOUND"


async def test_a_name_is_taken_once_and_free_again_after_deletion(platform):
    headers, _ = await _made(platform, "ten_up2")
    body = {"name": "north", "spec": spec()}
    refused = await platform.request("POST", PATH, json=body, headers=headers, expect=409)
    assert refused["reason"] == "NAME_TAKEN"
    await platform.request("DELETE", f"{PATH}/north", headers=headers, expect=204)
    await platform.request("POST", PATH, json=body, headers=headers, expect=201)


async def test_a_list_is_narrowed_by_category_country_and_region(platform):
    headers, _ = await _made(platform, "ten_up3", "a", category="Gas", region="BY")
    await _made(platform, "ten_up3", "b", category="Gas")
    await _made(platform, "ten_up3", "c", country="US", region="CA", currency="USD")

    async def names(query):
        page = await platform.request("GET", f"{PATH}?{query}", headers=headers, expect=200)
        return [item["name"] for item in page["data"]]

    assert await names("") == ["c", "b", "a"]
    assert await names("category=Gas&order=asc") == ["a", "b"]
    assert await names("category=Gas&region=BY") == ["a"]
    assert await names("country=US&region=CA") == ["c"]
    assert await names("country=FR") == []
    for bad in ("category=Coal", "country=us", "region="):
        refused = await platform.request("GET", f"{PATH}?{bad}", headers=headers, expect=422)
        assert refused["field"] == bad.split("=", maxsplit=1)[0]


async def test_a_bad_spec_names_the_field_and_stores_nothing(platform):
    headers = platform.headers("ten_up4")
    for changes, field in (
        ({"simulator": {"enabled": False}}, "spec.connection"),
        ({"country": "XX"}, "spec.country"),
        ({"limits": {"burst": 0}}, "spec.limits.burst"),
        ({"token": "s3cret"}, "spec.token"),
    ):
        body = {"name": "bad", "spec": spec(**changes)}
        refused = await platform.request("POST", PATH, json=body, headers=headers, expect=422)
        assert refused["reason"] == "INVALID_SPEC"
        assert [item["field"] for item in refused["errors"]] == [field]
    listed = await platform.request("GET", PATH, headers=headers, expect=200)
    assert listed["data"] == []


async def test_what_cannot_change_does_not(platform):
    headers, _ = await _made(platform, "ten_up5")
    patch = {"spec": {"currency": "USD"}}
    refused = await platform.request(
        "PATCH", f"{PATH}/north", json=patch, headers=headers, expect=422
    )
    assert refused["errors"][0]["field"] == "spec.currency"


async def test_a_probe_finds_a_utility_that_answers_and_sends_it_no_credential(platform, utility):
    auth = {"bearer": {"secretRef": {"name": "north", "key": "token"}}}
    connection = {"json": {"baseURL": f"{utility.url}/api/", "auth": auth}}
    headers, _ = await _made(platform, "ten_up6", connection=connection, simulator={})
    done = await platform.request("POST", f"{PATH}/north:probe", headers=headers, expect=200)
    assert done["probed"] is True
    assert done["provider"]["reachability"] == "reachable"
    assert done["provider"]["last_success_at"] == done["provider"]["last_probe_at"] or (
        done["provider"]["last_success_at"] > done["provider"]["last_probe_at"]
    )
    assert [request.path for request in utility.asked] == ["/api/health"]
    assert "authorization" not in {name.lower() for name in utility.asked[0].headers}


async def test_a_probe_tells_why_a_utility_cannot_be_reached_and_keeps_the_last_success(
    platform, utility
):
    headers, _ = await _made(platform, "ten_up7", url=utility.url)
    good = await platform.request("POST", f"{PATH}/north:probe", headers=headers, expect=200)
    utility.status = 503
    bad = await platform.request("POST", f"{PATH}/north:probe", headers=headers, expect=200)
    found = bad["provider"]
    assert (bad["probed"], found["reachability"]) == (True, "unreachable")
    assert found["last_error"] == f"{utility.url}/health answered 503"
    assert found["last_success_at"] == good["provider"]["last_success_at"]
    utility.status = 200
    again = await platform.request("POST", f"{PATH}/north:probe", headers=headers, expect=200)
    assert (again["provider"]["reachability"], again["provider"]["last_error"]) == ("reachable", "")


async def test_a_probe_waits_no_longer_than_the_limits_say(platform, utility):
    utility.delay_seconds = 3
    limits = {"requestsPerSecond": 1000, "timeout": "1s"}
    headers, _ = await _made(platform, "ten_up8", url=utility.url, limits=limits)
    done = await platform.request("POST", f"{PATH}/north:probe", headers=headers, expect=200)
    assert done["provider"]["reachability"] == "unreachable"
    assert done["provider"]["last_error"].startswith("FETCH_FAILED")


async def test_probes_come_no_closer_than_the_limits_allow(platform, utility):
    limits = {"requestsPerSecond": 1}
    headers, _ = await _made(platform, "ten_up9", url=utility.url, limits=limits)
    answers = [
        await platform.request("POST", f"{PATH}/north:probe", headers=headers, expect=200)
        for _ in range(3)
    ]
    assert [answer["probed"] for answer in answers] == [True, False, False]
    assert [answer["provider"]["reachability"] for answer in answers] == ["reachable"] * 3
    assert len(utility.asked) == 1


@pytest.mark.parametrize("url", ["http://10.0.0.1", "http://169.254.169.254", "http://[::1]:1"])
async def test_a_probe_reaches_no_private_address(platform, url):
    tenant = f"ten_up_{abs(hash(url))}"
    headers, _ = await _made(platform, tenant, url=url)
    done = await platform.request("POST", f"{PATH}/north:probe", headers=headers, expect=200)
    assert done["provider"]["reachability"] == "unreachable"
    assert done["provider"]["last_error"].startswith("URL_REFUSED")


async def test_a_simulator_that_does_not_run_cannot_be_probed(platform):
    headers, made = await _made(platform, "ten_up10")
    assert made["endpoint"] is None
    refused = await platform.request("POST", f"{PATH}/north:probe", headers=headers, expect=409)
    assert refused["reason"] == "NO_ENDPOINT"


async def test_another_address_makes_the_finding_unknown_again(platform, utility):
    headers, _ = await _made(platform, "ten_up11", url=utility.url)
    await platform.request("POST", f"{PATH}/north:probe", headers=headers, expect=200)
    patch = {"spec": {"connection": {"json": {"baseURL": f"{utility.url}/v2"}}}}
    moved = await platform.request(
        "PATCH", f"{PATH}/north", json=patch, headers=headers, expect=200
    )
    assert (moved["reachability"], moved["last_probe_at"]) == ("unknown", None)


async def test_reading_needs_the_read_scope_and_probing_the_write_scope(platform):
    await _made(platform, "ten_up12")
    reader = platform.headers("ten_up12", scopes=("utility_providers:read",))
    await platform.request("GET", f"{PATH}/north", headers=reader, expect=200)
    for method, path in (("POST", f"{PATH}/north:probe"), ("DELETE", f"{PATH}/north")):
        refused = await platform.request(method, path, headers=reader, expect=403)
        assert refused["reason"] == "SCOPE_MISSING"
