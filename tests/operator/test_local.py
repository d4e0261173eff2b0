"""Local mode against the running platform: files in, services and status out."""

import asyncio
import json
import shutil
import sys
import zlib
from pathlib import Path

import asyncpg
import pytest

from tests.operator.folder import FEED, METER, PLAN, Home, eventually, manifest, operating


@pytest.fixture
def home(tmp_path, request):
    name = request.node.name.split("[")[0].removeprefix("test_")
    return Home(tmp_path / "home", f"op-{zlib.crc32(name.encode())}")


async def plans(platform, home):
    headers = platform.headers(home.namespace)
    return (await platform.request("GET", "/v1/plans", headers=headers, expect=200))["data"]


async def test_filed_resources_run_and_their_status_says_so(platform, home):
    home.file("BillingPlan", "pro", PLAN | {"default": True})
    home.file("Meter", "api-calls", METER)
    home.file("ExchangeRateFeed", "ecb", FEED)
    home.file("UtilityProvider", "northwind", PROVIDER)
    async with operating(platform, home):
        plan = await home.decided("BillingPlan", "pro")
        meter = await home.decided("Meter", "api-calls")
        feed = await home.decided("ExchangeRateFeed", "ecb")
        await home.decided("UtilityProvider", "northwind")
    (running,) = await plans(platform, home)
    status = plan["status"]
    assert (status["planId"], status["version"]) == (running["id"], 1)
    assert (status["specHash"], status["observedGeneration"]) == (running["spec_hash"], 1)
    assert (running["origin"], plan["spec"]) == ("resource", PLAN | {"default": True})
    assert [item["type"] for item in status["conditions"]] == [
        "Ready", "Valid", "Published", "Applied", "AwaitingApproval", "Paused"
    ]  # fmt: skip
    assert meter["status"]["meterId"]
    assert (feed["status"]["asOf"], feed["status"]["rateCount"]) == ("2026-01-02", 1)


async def test_the_same_files_after_a_restart_change_nothing(platform, home):
    home.file("BillingPlan", "pro", PLAN)
    home.file("ExchangeRateFeed", "ecb", FEED)
    async with operating(platform, home):
        await home.decided("BillingPlan", "pro")
        await home.decided("ExchangeRateFeed", "ecb")
    paths = [home.status_path("BillingPlan", "pro"), home.status_path("ExchangeRateFeed", "ecb")]
    written = [path.stat().st_mtime_ns for path in paths]
    async with operating(platform, home):
        await asyncio.sleep(0.6)
    assert [path.stat().st_mtime_ns for path in paths] == written
    assert [plan["version"] for plan in await plans(platform, home)] == [1]


async def test_a_lost_status_is_written_again_and_nothing_is_applied_anew(platform, home):
    home.file("BillingPlan", "pro", PLAN)
    async with operating(platform, home):
        before = await home.decided("BillingPlan", "pro")
    shutil.rmtree(home.path / "status")
    async with operating(platform, home):
        after = await home.decided("BillingPlan", "pro")
    assert after["status"]["version"] == 1
    assert after["status"]["observedGeneration"] == before["status"]["observedGeneration"]


async def test_a_changed_plan_becomes_the_next_version(platform, home):
    home.file("BillingPlan", "pro", PLAN)
    async with operating(platform, home):
        await home.decided("BillingPlan", "pro")
        home.file("BillingPlan", "pro", PLAN | {"displayName": "Pro"})
        await eventually(lambda: home.document("BillingPlan", "pro"))
        plan = await home.decided("BillingPlan", "pro")
    assert (plan["status"]["version"], plan["status"]["observedGeneration"]) == (2, 2)
    (running,) = await plans(platform, home)
    assert (running["version"], running["spec"]["displayName"]) == (2, "Pro")


async def test_a_bad_manifest_tells_line_field_and_reason_while_others_apply(platform, home):
    bad = {"currency": "EUR", "charges": [{"name": "platform", "recurring": {"amount": "-1"}}]}
    path = home.file("BillingPlan", "bad", bad)
    home.file("BillingPlan", "broken", "kind: [BillingPlan\n")
    home.file("BillingPlan", "other", manifest("BillingPlan", "elsewhere", PLAN))
    home.file("BillingPlan", "pro", PLAN)
    async with operating(platform, home):
        await home.decided("BillingPlan", "pro")
        for name in ("bad", "broken", "other"):
            found = await home.decided("BillingPlan", name, "False")
            assert found["status"]["conditions"][0]["reason"] == "InvalidSpec"
        assert [plan["name"] for plan in await plans(platform, home)] == ["pro"]
        message = home.conditions("BillingPlan", "bad")["Ready"]["message"]
        assert message.startswith(f"{path}:10: spec.charges[0].recurring.amount: ")
        assert message.endswith("(DECIMAL_INVALID)")
        assert "NAME_DIFFERS" in home.conditions("BillingPlan", "other")["Ready"]["message"]
        home.file("BillingPlan", "bad", PLAN)
        await home.decided("BillingPlan", "bad")


async def test_what_a_service_refuses_is_told_by_its_line_and_not_repeated(platform, home):
    home.file("BillingPlan", "pro", PLAN)
    async with operating(platform, home):
        await home.decided("BillingPlan", "pro")
        path = home.file("BillingPlan", "pro", PLAN | {"currency": "USD"})
        await home.decided("BillingPlan", "pro", "False")
        ready = home.conditions("BillingPlan", "pro")["Ready"]
        assert ready["reason"] == "InvalidSpec"
        assert ready["message"].startswith(f"{path}:6: spec.currency: cannot change from EUR")
    (running,) = await plans(platform, home)
    assert (running["version"], running["spec"]["currency"]) == (1, "EUR")


async def test_a_name_that_the_api_took_is_reported_and_left_alone(platform, home):
    made = await platform.request(
        "POST", "/v1/plans", json={"name": "pro", "spec": PLAN},
        headers=platform.headers(home.namespace), expect=201,
    )  # fmt: skip
    home.file("BillingPlan", "pro", PLAN | {"displayName": "Pro"})
    async with operating(platform, home):
        found = await home.decided("BillingPlan", "pro", "False")
        assert found["status"]["conditions"][0]["reason"] == "NameTaken"
        assert await plans(platform, home) == [made]
        await platform.request(
            "DELETE", f"/v1/plans/{made['id']}", headers=platform.headers(home.namespace),
            expect=204,
        )  # fmt: skip
        await home.decided("BillingPlan", "pro")


async def test_a_removed_file_removes_what_it_made_and_its_return_brings_it_back(platform, home):
    path = home.file("BillingPlan", "pro", PLAN)
    async with operating(platform, home):
        first = await home.decided("BillingPlan", "pro")
        home.file("BillingPlan", "pro", PLAN | {"displayName": "Pro"})
        await home.decided("BillingPlan", "pro")
        path.unlink()
        await eventually(lambda: not home.status_path("BillingPlan", "pro").exists())
        assert await plans(platform, home) == []
        home.file("BillingPlan", "pro", PLAN | {"displayName": "Pro"})
        again = await home.decided("BillingPlan", "pro")
    assert again["status"]["planId"] == first["status"]["planId"]
    assert (again["status"]["version"], again["status"]["observedGeneration"]) == (2, 3)


async def test_a_file_removed_while_the_operator_was_away_is_cleaned_up_after(platform, home):
    path = home.file("Meter", "api-calls", METER)
    async with operating(platform, home):
        await home.decided("Meter", "api-calls")
    path.unlink()
    async with operating(platform, home):
        await eventually(lambda: not home.status_path("Meter", "api-calls").exists())
    headers = platform.headers(home.namespace)
    meters = await platform.request("GET", "/v1/meters", headers=headers, expect=200)
    assert meters["data"] == []


async def test_a_hand_edit_in_the_database_is_repaired(platform, home):
    home.file("BillingPlan", "pro", PLAN)
    home.file("ExchangeRateFeed", "ecb", FEED)
    async with operating(platform, home):
        await home.decided("BillingPlan", "pro")
        await home.decided("ExchangeRateFeed", "ecb")
        connection = await asyncpg.connect(platform.stores.admin_url)
        for schema, table in (("pricing", "plans"), ("exchange_rate", "feeds")):
            await connection.execute(
                f'UPDATE {schema}.{table} SET spec = spec || \'{{"displayName": "edited"}}\''
                " WHERE tenant_id = $1",
                home.namespace,
            )

        async def edited():
            return await connection.fetchval(
                "SELECT count(*) FROM pricing.plans p, exchange_rate.feeds f WHERE"
                " p.tenant_id = $1 AND f.tenant_id = $1"
                " AND (p.spec ? 'displayName' OR f.spec ? 'displayName')",
                home.namespace,
            )

        assert await edited()
        for _ in range(200):
            await asyncio.sleep(0.05)
            if not await edited():
                break
        assert not await edited()
        await connection.close()


async def test_a_paused_resource_is_left_alone_until_it_goes_on(platform, home):
    home.file("BillingPlan", "pro", PLAN)
    paused = {"annotations": {"billplane.io/reconcile": "paused"}}
    changed = PLAN | {"displayName": "Pro"}
    async with operating(platform, home):
        await home.decided("BillingPlan", "pro")
        home.file("BillingPlan", "pro", changed, **paused)
        found = await home.decided("BillingPlan", "pro", "Unknown")
        assert home.conditions("BillingPlan", "pro")["Paused"]["status"] == "True"
        assert found["status"]["version"] == 1
        await asyncio.sleep(0.5)
        assert [plan["version"] for plan in await plans(platform, home)] == [1]
        home.file("BillingPlan", "pro", changed)
        await home.decided("BillingPlan", "pro")
        assert [plan["version"] for plan in await plans(platform, home)] == [2]


async def test_a_version_for_subscribers_waits_for_its_approval(platform, home):
    rollout = {"rollout": {"applyTo": "All", "requireApproval": True}}
    home.file("BillingPlan", "pro", PLAN | rollout)
    changed = PLAN | rollout | {"displayName": "Pro"}
    async with operating(platform, home):
        await home.decided("BillingPlan", "pro")
        home.file("BillingPlan", "pro", changed)
        await home.decided("BillingPlan", "pro", "False")
        ready = home.conditions("BillingPlan", "pro")["Ready"]
        assert ready["reason"] == "AwaitingApproval"
        approval = dict([ready["message"].split("annotation ")[1].split(": ")])
        home.file("BillingPlan", "pro", changed, annotations=approval)
        await home.decided("BillingPlan", "pro")
        assert [plan["version"] for plan in await plans(platform, home)] == [2]


async def test_a_changed_table_of_a_feed_is_read_again(make_stores, run_platform, tmp_path):
    home = Home(tmp_path / "home", "default")
    folder = home.path / "resources"
    spec = {
        "base": "EUR",
        "currencies": ["USD"],
        "source": {"csv": {"file": "r.csv", "wide": True}},
        "schedule": "0 4 * * *",
    }
    table = folder / "default" / "ExchangeRateFeed" / "r.csv"
    table.parent.mkdir(parents=True)
    table.write_text("Date,USD\n2026-01-02,1.3194\n")
    home.file("ExchangeRateFeed", "table", spec)
    environ = {"BILLPLANE_EXCHANGE_RATE_RESOURCES_FOLDER": str(folder)}
    services = ("exchange_rate", "identity")
    async with run_platform(await make_stores(), services, **environ) as alone:
        async with operating(alone, home):
            found = await home.decided("ExchangeRateFeed", "table")
            assert found["status"]["asOf"] == "2026-01-02"
            table.write_text("Date,USD\n2026-01-05,1.4\n2026-01-02,1.3194\n")
            await eventually(
                lambda: home.document("ExchangeRateFeed", "table")["status"]["asOf"] == "2026-01-05"
            )


async def test_the_program_applies_a_folder_once_and_tells_what_became_of_it(
    platform, tmp_path, home
):
    (tmp_path / "both.yaml").write_text(
        manifest("BillingPlan", "pro", PLAN, namespace=home.namespace)
        + "---\n"
        + manifest("Meter", "api-calls", METER, namespace=home.namespace)
    )
    (tmp_path / "customers.yaml").write_text("customers: [Ada]\n")
    code, told = await run_once(platform, tmp_path)
    assert (code, told) == (
        0,
        f"BillingPlan {home.namespace}/pro: True Published version 1\n"
        f"Meter {home.namespace}/api-calls: True Applied\n",
    )
    (tmp_path / "bad.yaml").write_text(
        manifest("Meter", "bad", METER | {"aggregation": "Many"}, namespace=home.namespace)
    )
    code, told = await run_once(platform, tmp_path)
    assert code == 1
    assert f"{tmp_path}/bad.yaml:8: spec.aggregation: " in told
    assert f"BillingPlan {home.namespace}/pro: True Published version 1\n" in told


async def run_once(platform, folder: Path):
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "billplane_operator", "local", str(folder), "--once",
        env=platform.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(program.communicate(), 30)
    return program.returncode, out.decode() if out else err.decode()


PROVIDER = json.loads("""
{
  "displayName": "Northwind Power", "category": "Electricity", "country": "DE", "currency": "EUR",
  "timeZone": "Europe/Berlin",
  "connection": {"json": {"baseURL": "https://northwind.example",
                          "auth": {"bearer": {"secretRef": {"name": "northwind", "key": "token"}}}}}
}
""")
