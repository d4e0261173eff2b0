"""Cluster mode against the running platform: resources in, services, children and status out."""

import asyncio

import asyncpg

from tests.operator.folder import FEED, METER, PLAN, eventually
from tests.operator.test_local import PROVIDER

SIMULATED = {key: value for key, value in PROVIDER.items() if key != "connection"} | {
    "simulator": {"enabled": True, "accounts": 20, "seed": 7}
}


async def test_applied_resources_run_and_their_status_says_so(kube):
    await kube.apply("BillingPlan", "pro", PLAN | {"default": True})
    await kube.apply("Meter", "api-calls", METER)
    await kube.apply("ExchangeRateFeed", "ecb", FEED)
    async with kube.operating():
        plan = await kube.ready("BillingPlan", "pro")
        meter = await kube.ready("Meter", "api-calls")
        feed = await kube.ready("ExchangeRateFeed", "ecb")
    (running,) = await kube.running("/v1/plans")
    status = plan["status"]
    assert (status["planId"], status["version"]) == (running["id"], 1)
    assert (status["specHash"], status["observedGeneration"]) == (running["spec_hash"], 1)
    assert plan["metadata"]["finalizers"] == ["billplane.io/operator"]
    assert "annotations" not in plan["metadata"]
    assert meter["status"]["meterId"]
    assert (feed["status"]["asOf"], feed["status"]["rateCount"]) == ("2026-01-02", 1)
    assert [item["type"] for item in status["conditions"]] == [
        "Ready", "Valid", "Published", "Applied", "AwaitingApproval", "Paused"
    ]  # fmt: skip


async def test_a_change_is_the_next_version_and_the_same_again_is_nothing(kube):
    await kube.apply("BillingPlan", "pro", PLAN)
    async with kube.operating():
        await kube.ready("BillingPlan", "pro")
        await kube.apply("BillingPlan", "pro", PLAN | {"displayName": "Pro"})
        plan = await kube.ready("BillingPlan", "pro")
        assert (plan["status"]["version"], plan["status"]["observedGeneration"]) == (2, 2)
        written = len(kube.api.writes())
        again = await kube.apply("BillingPlan", "pro", PLAN | {"displayName": "Pro"})
        await asyncio.sleep(1.5)
        assert again["metadata"]["resourceVersion"] == plan["metadata"]["resourceVersion"]
        assert len(kube.api.writes()) == written


async def test_a_deleted_resource_is_cleaned_up_after_before_it_goes(kube):
    await kube.apply("Meter", "api-calls", METER)
    async with kube.operating():
        await kube.ready("Meter", "api-calls")
        await kube.delete("Meter", "api-calls")
        await kube.gone("Meter", "api-calls")
        assert await kube.running("/v1/meters") == []
        await kube.apply("Meter", "api-calls", METER)
        await kube.ready("Meter", "api-calls")
    assert len(await kube.running("/v1/meters")) == 1


async def test_a_simulated_provider_gets_its_children_and_is_registered(kube):
    await kube.apply("UtilityProvider", "northwind", SIMULATED)
    async with kube.operating():
        provider = await kube.ready("UtilityProvider", "northwind")
        endpoint = f"http://simulator-northwind.{kube.namespace}.svc:8080"
        assert provider["status"]["endpoint"] == endpoint
        for kind in ("Deployment", "Service", "NetworkPolicy"):
            child = kube.get(kind, "simulator-northwind")
            (owner,) = child["metadata"]["ownerReferences"]
            assert owner["uid"] == provider["metadata"]["uid"]
        (running,) = await kube.running("/v1/utility_providers")
        assert running["id"] == provider["status"]["providerId"]
        await kube.delete("UtilityProvider", "northwind")
        await kube.gone("UtilityProvider", "northwind")
    assert kube.get("Deployment", "simulator-northwind") is None


async def test_children_that_somebody_changed_or_deleted_are_mended(kube):
    await kube.apply("UtilityProvider", "northwind", SIMULATED)
    async with kube.operating():
        await kube.ready("UtilityProvider", "northwind")
        policy = kube.get("NetworkPolicy", "simulator-northwind")
        await kube.delete("Deployment", "simulator-northwind")
        everybody = {"spec": {"ingress": [*policy["spec"]["ingress"], {"from": []}]}}
        store = kube.api.store
        await store.merge("NetworkPolicy", kube.namespace, "simulator-northwind", everybody)

        def mended():
            found = kube.get("NetworkPolicy", "simulator-northwind")["spec"] == policy["spec"]
            return found and kube.get("Deployment", "simulator-northwind") is not None

        await eventually(mended)
        await kube.ready("UtilityProvider", "northwind")
        spec = SIMULATED | {"simulator": {"enabled": False}, "connection": PROVIDER["connection"]}
        await kube.apply("UtilityProvider", "northwind", spec)
        await kube.gone("Deployment", "simulator-northwind")


async def test_a_secret_that_appears_or_changes_is_noticed(kube):
    await kube.apply("UtilityProvider", "northwind", PROVIDER)
    async with kube.operating():
        await kube.ready("UtilityProvider", "northwind", "False", "SecretMissing")
        message = kube.conditions("UtilityProvider", "northwind")["CredentialsValid"]["message"]
        assert message == "there is no Secret northwind"
        metadata = {"name": "northwind", "namespace": kube.namespace}
        secret = {"kind": "Secret", "metadata": metadata, "data": {"other": "dG9rZW4="}}
        await kube.api.store.create(secret)
        message = "there is no key token in Secret northwind"
        await eventually(
            lambda: kube.conditions("UtilityProvider", "northwind")["Ready"]["message"] == message
        )
        patch = {"data": {"token": "dG9rZW4="}}
        await kube.api.store.merge("Secret", kube.namespace, "northwind", patch)
        await kube.ready("UtilityProvider", "northwind")
    read = {path for method, path in kube.api.requests if "/secrets" in path}
    assert read == {f"/api/v1/namespaces/{kube.namespace}/secrets/northwind"}


async def test_a_feed_without_its_secret_is_applied_and_not_called_ready(kube):
    json = {"url": "http://127.0.0.1:1", "mapping": {"rates": "$.rates"}}
    source = {"json": json | {"secretRef": {"name": "rates", "key": "token"}}}
    await kube.apply(
        "ExchangeRateFeed", "rates", FEED | {"source": source, "schedule": "0 * * * *"}
    )
    await kube.apply("BillingPlan", "second", PLAN | {"default": True})
    async with kube.operating():
        await kube.ready("ExchangeRateFeed", "rates", "False")
        await kube.ready("BillingPlan", "second")
        # What a service refuses is told of the generation that it refused.
        await kube.apply("BillingPlan", "third", PLAN | {"default": True})
        await kube.ready("BillingPlan", "third", "False", "DefaultPlanTaken")
        await kube.apply("BillingPlan", "third", PLAN | {"default": True, "displayName": "Third"})
        await kube.ready("BillingPlan", "third", "False", "DefaultPlanTaken")
    assert len(await kube.running("/v1/exchange_rate_feeds")) == 1


async def test_what_the_crd_lets_through_and_the_spec_refuses_is_told_by_field(kube):
    await kube.apply("BillingPlan", "odd", PLAN | {"currency": "ABC"})
    await kube.apply("BillingPlan", "pro", PLAN)
    async with kube.operating():
        await kube.ready("BillingPlan", "pro")
        await kube.ready("BillingPlan", "odd", "False", "InvalidSpec")
        message = kube.conditions("BillingPlan", "odd")["Ready"]["message"]
        assert message.startswith("spec.currency: ")
        assert message.endswith("(CURRENCY_UNKNOWN)")
    assert [plan["name"] for plan in await kube.running("/v1/plans")] == ["pro"]


async def test_a_paused_resource_is_left_alone_until_it_is_not(kube):
    await kube.apply("Meter", "api-calls", METER)
    async with kube.operating():
        await kube.ready("Meter", "api-calls")
        await kube.annotate("Meter", "api-calls", reconcile="paused")
        await kube.apply("Meter", "api-calls", METER | {"unit": "call"})
        await kube.ready("Meter", "api-calls", "Unknown", "Paused")
        assert kube.conditions("Meter", "api-calls")["Paused"]["status"] == "True"
        assert (await kube.running("/v1/meters"))[0]["spec"].get("unit") is None
        await kube.annotate("Meter", "api-calls", reconcile=None)
        await kube.ready("Meter", "api-calls")
        assert (await kube.running("/v1/meters"))[0]["spec"]["unit"] == "call"


async def test_a_name_of_the_api_is_taken_over_only_when_told_to(kube):
    headers = kube.platform.headers(kube.namespace)
    body = {"name": "api-calls", "spec": METER}
    made = await kube.platform.request("POST", "/v1/meters", json=body, headers=headers, expect=201)
    await kube.apply("Meter", "api-calls", METER | {"unit": "call"})
    async with kube.operating():
        await kube.ready("Meter", "api-calls", "False", "NameTaken")
        await kube.annotate("Meter", "api-calls", adopt="true")
        meter = await kube.ready("Meter", "api-calls")
    (running,) = await kube.running("/v1/meters")
    assert meter["status"]["meterId"] == running["id"] == made["id"]
    assert (running["origin"], running["spec"]["unit"]) == ("resource", "call")


async def test_a_resource_made_anew_without_cleaning_up_goes_on_with_what_runs(kube):
    await kube.apply("BillingPlan", "pro", PLAN | {"default": True})
    async with kube.operating():
        before = await kube.ready("BillingPlan", "pro")
    # Nobody is there to clean up: somebody takes the finalizer off and deletes it.
    patch = {"metadata": {"finalizers": []}}
    await kube.api.store.merge("BillingPlan", kube.namespace, "pro", patch)
    await kube.delete("BillingPlan", "pro")
    assert kube.get("BillingPlan", "pro") is None
    await kube.apply("BillingPlan", "pro", PLAN | {"default": True})
    async with kube.operating():
        after = await kube.ready("BillingPlan", "pro")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"]["planId"] == before["status"]["planId"]
    assert after["status"]["version"] == 1


async def test_a_namespace_without_a_label_is_the_default_tenant(kube):
    await kube.api.store.create({"kind": "Namespace", "metadata": {"name": "plain"}})
    tenant = f"{kube.namespace}-default"
    kube.namespace = "plain"
    await kube.apply("Meter", "api-calls", METER)
    async with kube.operating(default_tenant=tenant):
        await kube.ready("Meter", "api-calls")
    headers = kube.platform.headers(tenant)
    found = await kube.platform.request("GET", "/v1/meters", headers=headers, expect=200)
    assert [meter["name"] for meter in found["data"]] == ["api-calls"]


async def test_an_operator_of_namespaces_asks_for_nothing_beyond_them(kube):
    await kube.apply("Meter", "api-calls", METER)
    async with kube.operating(namespaces=kube.namespace):
        await kube.ready("Meter", "api-calls")
        await kube.apply("Meter", "api-calls", METER | {"unit": "call"})
        await kube.ready("Meter", "api-calls")
    asked = {path for _, path in kube.api.requests if path.count("/") > 3 and "/leases" not in path}
    beyond = {path for path in asked if f"/namespaces/{kube.namespace}" not in path}
    assert beyond == set()


async def test_a_plan_edited_by_hand_in_the_database_is_mended_as_the_same_generation(kube):
    await kube.apply("BillingPlan", "pro", PLAN)
    async with kube.operating():
        plan = await kube.ready("BillingPlan", "pro")
        database = await asyncpg.connect(kube.platform.stores.admin_url)
        where = f"WHERE id = '{plan['status']['planId']}'"
        edit = """spec || '{"displayName": "edited"}'"""
        await database.execute(f"UPDATE pricing.plans SET spec = {edit} {where}")
        for _ in range(100):
            await asyncio.sleep(0.1)
            query = f"SELECT spec ? 'displayName' FROM pricing.plans {where}"
            if not await database.fetchval(query):
                break
        assert not await database.fetchval(query)
        await database.close()
        after = await kube.ready("BillingPlan", "pro")
    assert after["metadata"]["generation"] == plan["metadata"]["generation"]
    assert [found["version"] for found in await kube.running("/v1/plans")] == [1]
