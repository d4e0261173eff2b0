"""Secrets and ConfigMaps that feeds name: handed over, followed, told when they are missing."""

import asyncio
import base64

import asyncpg
import pytest
from billplane_operator.kinds import SourceValue
from billplane_operator.references import Reference, references_of

from tests.exchange_rate.test_sources import TOKEN, answers, bank, spec, table
from tests.operator.folder import eventually

TABLE = "Date,USD\n2026-01-02,1.25\n"


async def make(kube, kind, name, **data):
    metadata = {"name": name, "namespace": kube.namespace}
    await kube.api.store.create({"kind": kind, "metadata": metadata, "data": data})


async def patch(kube, kind, name, **data):
    await kube.api.store.merge(kind, kube.namespace, name, {"data": data})


def secret(value):
    return base64.b64encode(value).decode()


def newest(kube, name="fx"):
    return (kube.get("ExchangeRateFeed", name).get("status") or {}).get("asOf")


def message(kube, name="fx"):
    return kube.conditions("ExchangeRateFeed", name).get("Ready", {}).get("message")


async def held(kube):
    database = await asyncpg.connect(kube.platform.stores.admin_url)
    query = "SELECT * FROM exchange_rate.feed_sources WHERE tenant_id = $1"
    found = await database.fetch(query, kube.namespace)
    await database.close()
    return found


async def test_a_feed_reads_the_table_of_a_config_map_and_follows_it(kube):
    await make(kube, "ConfigMap", "rates", **{"table.csv": TABLE})
    await kube.apply("ExchangeRateFeed", "fx", spec(table()))
    async with kube.operating():
        await kube.ready("ExchangeRateFeed", "fx", reason="Applied")
        assert newest(kube) == "2026-01-02"
        await patch(kube, "ConfigMap", "rates", **{"table.csv": TABLE + "2026-01-05,1.30\n"})
        await eventually(lambda: newest(kube) == "2026-01-05")
        await kube.delete("ExchangeRateFeed", "fx")
        await kube.gone("ExchangeRateFeed", "fx")
        assert await held(kube) == []
    read = {path for _, path in kube.api.requests if "/configmaps" in path}
    assert read == {f"/api/v1/namespaces/{kube.namespace}/configmaps/rates"}


async def test_a_feed_sends_the_token_of_a_secret_and_the_next_one_once_it_is_rotated(kube):
    await make(kube, "Secret", "bank", token=secret(b"of-yesterday"))
    async with bank() as url:
        await kube.apply("ExchangeRateFeed", "fx", spec(answers(url)))
        async with kube.operating():
            await kube.ready("ExchangeRateFeed", "fx", "False", "FetchFailed")
            assert "answered 401" in message(kube)
            await patch(kube, "Secret", "bank", token=secret(TOKEN + b"\n"))
            await kube.ready("ExchangeRateFeed", "fx")
    assert newest(kube) == "2026-01-05"
    written = str(list(kube.api.store.events))
    assert TOKEN.decode() not in written


async def test_what_is_missing_is_told_before_what_follows_from_it(kube):
    await kube.apply("ExchangeRateFeed", "fx", spec(table()))
    async with kube.operating():
        await kube.ready("ExchangeRateFeed", "fx", "False", "ConfigMapMissing")
        assert message(kube) == "there is no ConfigMap rates"
        await make(kube, "ConfigMap", "rates", other="x")
        missing = "there is no key table.csv in ConfigMap rates"
        await eventually(lambda: message(kube) == missing, lambda: message(kube))
        await patch(kube, "ConfigMap", "rates", **{"table.csv": TABLE})
        await kube.ready("ExchangeRateFeed", "fx")
        await kube.delete("ConfigMap", "rates")
        await kube.ready("ExchangeRateFeed", "fx", "False", "ConfigMapMissing")
        assert await held(kube) == []
        await kube.apply("ExchangeRateFeed", "bank", spec(answers("http://127.0.0.1:1/"), table()))
        await kube.ready("ExchangeRateFeed", "bank", "False", "SecretMissing")
        assert message(kube, "bank") == "there is no Secret bank, no ConfigMap rates"


async def test_a_table_that_is_too_long_is_refused_with_the_reason(kube):
    await make(kube, "ConfigMap", "rates", **{"table.csv": "x" * (1024 * 1024 + 1)})
    await kube.apply("ExchangeRateFeed", "fx", spec(table()))
    async with kube.operating():
        await kube.ready("ExchangeRateFeed", "fx", "False", "SourceRefused")
        assert message(kube) == (
            "key table.csv in ConfigMap rates is longer than 1048576 bytes (SOURCE_REFUSED)"
        )
        await patch(kube, "ConfigMap", "rates", **{"table.csv": TABLE})
        await kube.ready("ExchangeRateFeed", "fx")


async def test_a_zip_in_a_config_map_is_read_as_bytes(kube):
    name = "rates"
    metadata = {"name": name, "namespace": kube.namespace}
    binary = {"table.csv": base64.b64encode(TABLE.encode()).decode()}
    await kube.api.store.create({"kind": "ConfigMap", "metadata": metadata, "binaryData": binary})
    await kube.apply("ExchangeRateFeed", "fx", spec(table()))
    async with kube.operating():
        await kube.ready("ExchangeRateFeed", "fx")


@pytest.mark.parametrize("lost", ["DELETE FROM", "UPDATE"])
async def test_a_value_that_the_service_lost_or_that_is_old_is_handed_over_again(kube, lost):
    await make(kube, "ConfigMap", "rates", **{"table.csv": TABLE})
    await kube.apply("ExchangeRateFeed", "fx", spec(table()))
    async with kube.operating():
        await kube.ready("ExchangeRateFeed", "fx")
        (before,) = await held(kube)
        database = await asyncpg.connect(kube.platform.stores.admin_url)
        change = "SET digest = 'old'" if lost == "UPDATE" else ""
        where = f"WHERE tenant_id = '{kube.namespace}'"
        await database.execute(f"{lost} exchange_rate.feed_sources {change} {where}")
        await database.close()
        for _ in range(100):
            await asyncio.sleep(0.1)
            if [row["digest"] for row in await held(kube)] == [before["digest"]]:
                break
        assert [row["digest"] for row in await held(kube)] == [before["digest"]]


async def test_a_feed_that_is_left_alone_is_handed_nothing_twice(kube):
    await make(kube, "ConfigMap", "rates", **{"table.csv": TABLE})
    await kube.apply("ExchangeRateFeed", "fx", spec(table()))
    async with kube.operating():
        await kube.ready("ExchangeRateFeed", "fx")
        (before,) = await held(kube)
    async with kube.operating() as operator:
        await kube.ready("ExchangeRateFeed", "fx")
        await operator.reconciler.compare()
        await asyncio.sleep(1)
    (after,) = await held(kube)
    assert after["provided_at"] == before["provided_at"]


def test_a_value_is_not_told_where_it_is_written_to_a_log():
    value = SourceValue(Reference("Secret", "bank", "token"), TOKEN)
    assert TOKEN.decode() not in repr(value)
    assert "bank" in repr(value)


def test_references_are_found_wherever_a_spec_has_them():
    document = spec(answers("https://bank.example/"), table(), table("other"))
    assert set(references_of(document)) == {
        ("Secret", "bank", "token"),
        ("ConfigMap", "rates", "table.csv"),
        ("ConfigMap", "other", "table.csv"),
    }
