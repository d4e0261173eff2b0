"""Secrets that plans name for their external prices: handed over, followed, gone with the plan."""

import asyncpg

from tests.chassis.waiting import eventually
from tests.operator.test_references import make, patch, secret
from tests.pricing.test_external import priced_by, quote, serving

FIRST, SECOND = b"grid-token-of-yesterday", b"grid-token-of-today"


async def held(kube):
    database = await asyncpg.connect(kube.platform.stores.admin_url)
    query = "SELECT * FROM pricing.plan_secrets WHERE tenant_id = $1"
    found = await database.fetch(query, kube.namespace)
    await database.close()
    return found


async def asked(kube, source, quantity):
    """Have a price asked for; return the token that the source was shown and the answer."""
    answer = await kube.platform.request(
        "POST",
        "/v1/quotes",
        json=quote(quantity),
        headers=kube.platform.headers(kube.namespace),
    )
    return (source.asked[-1][0] if source.asked else None), answer


def naming(source, name="grid", **more):
    """Give a plan's spec whose source is shown the token of a Secret."""
    return priced_by(source, secretRef={"name": name, "key": "token"}) | more


async def meter(kube):
    spec = {"eventType": "call", "aggregation": "Count"}
    await kube.apply("Meter", "calls", spec)


async def test_a_source_is_shown_the_token_of_a_secret_and_the_next_one_once_it_is_rotated(kube):
    async with serving() as source:
        await meter(kube)
        await kube.apply("BillingPlan", "pro", naming(source))
        async with kube.operating():
            await kube.ready("BillingPlan", "pro", "False", "SecretMissing")
            await make(kube, "Secret", "grid", token=secret(FIRST + b"\n"))
            await kube.ready("BillingPlan", "pro")
            token, answer = await asked(kube, source, "100")
            assert (token, answer["total_minor"]) == (f"Bearer {FIRST.decode()}", 25_00)
            (before,) = await held(kube)
            assert FIRST not in before["sealed"]

            await patch(kube, "Secret", "grid", token=secret(SECOND))

            async def changed():
                return [row["digest"] for row in await held(kube)] not in ([], [before["digest"]])

            await eventually(changed)
            token, _ = await asked(kube, source, "101")
            assert token == f"Bearer {SECOND.decode()}"
            await kube.delete("Secret", "grid")
            await kube.ready("BillingPlan", "pro", "False", "SecretMissing")
            assert await held(kube) == []
    written = str(list(kube.api.store.events))
    assert FIRST.decode() not in written
    read = {path for _, path in kube.api.requests if "/secrets" in path}
    assert read == {f"/api/v1/namespaces/{kube.namespace}/secrets/grid"}


async def test_a_token_goes_with_its_plan_and_stays_where_the_plan_is_billed_by_on(kube):
    async with serving() as source:
        await meter(kube)
        await make(kube, "Secret", "grid", token=secret(FIRST))
        for policy, count in (("Delete", 0), ("Retain", 1)):
            await kube.apply("BillingPlan", "pro", naming(source, deletionPolicy=policy))
            async with kube.operating():
                await kube.ready("BillingPlan", "pro")
                await kube.delete("BillingPlan", "pro")
                await kube.gone("BillingPlan", "pro")
            assert len(await held(kube)) == count


async def test_a_token_that_pricing_lost_while_the_operator_was_away_is_handed_over_again(kube):
    async with serving() as source:
        await meter(kube)
        await make(kube, "Secret", "grid", token=secret(FIRST))
        await kube.apply("BillingPlan", "pro", naming(source))
        async with kube.operating():
            await kube.ready("BillingPlan", "pro")
            (before,) = await held(kube)
        database = await asyncpg.connect(kube.platform.stores.admin_url)
        await database.execute(
            "DELETE FROM pricing.plan_secrets WHERE tenant_id = $1", kube.namespace
        )
        await database.close()
        async with kube.operating():

            async def again():
                return [row["digest"] for row in await held(kube)] == [before["digest"]]

            await eventually(again)


async def test_what_an_earlier_version_names_stays_for_who_is_billed_by_it(kube):
    async with serving() as source:
        await meter(kube)
        await make(kube, "Secret", "grid", token=secret(FIRST))
        await make(kube, "Secret", "later", token=secret(SECOND))
        await kube.apply("BillingPlan", "pro", naming(source))
        async with kube.operating():
            await kube.ready("BillingPlan", "pro")
            await kube.apply("BillingPlan", "pro", naming(source, "later"))
            await kube.ready("BillingPlan", "pro")
            tokens = [(await asked(kube, source, "7"))[0]]
            old = quote("8") | {"version": 1}
            headers = kube.platform.headers(kube.namespace)
            await kube.platform.request("POST", "/v1/quotes", json=old, headers=headers)
            tokens.append(source.asked[-1][0])
    assert tokens == [f"Bearer {SECOND.decode()}", f"Bearer {FIRST.decode()}"]


async def test_a_secret_that_is_no_token_is_refused_without_telling_it(kube):
    async with serving() as source:
        await meter(kube)
        await make(kube, "Secret", "grid", token=secret(b"two words"))
        await kube.apply("BillingPlan", "pro", naming(source))
        async with kube.operating():
            await kube.ready("BillingPlan", "pro", "False", "PriceSecretRefused")
            message = kube.conditions("BillingPlan", "pro")["Ready"]["message"]
            assert "key token in Secret grid is no token" in message
            assert "two words" not in message
