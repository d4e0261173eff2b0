"""What the Jobs of an install do: Secrets and a first key made once, finalizers let go."""

import asyncio
import base64

import pytest
from billplane.chassis.auth import INTERNAL_INFO, derive_seed
from billplane_operator import __main__, bootstrap, jobs
from billplane_operator.bootstrap import SecretIncomplete, read_store
from billplane_operator.settings import OperatorSettings

from tests.operator.folder import METER, eventually

ALL = ("bootstrap-secrets", "--prefix", "bp", "--namespace", "billplane", "--label", "a/b=c")
STORES = (
    "--store",
    "postgres",
    "--store",
    "redis=cache:6380",
    "--store",
    "rabbitmq",
    "--store",
    "kafka",
)


def options(*words):
    return __main__.parser().parse_args(words)


def secret(kube, name):
    data = kube.api.store.get("Secret", "billplane", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def secrets(kube):
    return {item["metadata"]["name"]: item for item in kube.api.store.list("Secret", "billplane")}


async def test_secrets_are_made_once_with_values_of_their_own(kube):
    await asyncio.gather(*(jobs.bootstrap_secrets(options(*ALL, *STORES)) for _ in range(4)))
    made = secrets(kube)
    assert sorted(made) == [
        "bp-internal", "bp-kafka", "bp-people", "bp-postgres", "bp-rabbitmq", "bp-redis"
    ]  # fmt: skip
    for item in made.values():
        assert item["metadata"]["labels"]["a/b"] == "c"
    postgres, people = secret(kube, "bp-postgres"), secret(kube, "bp-people")
    assert postgres["database-url"] == (
        f"postgresql://billplane:{postgres['password']}@bp-postgres:5432/billplane"
    )
    assert postgres["postgres-password"] in postgres["admin-database-url"]
    assert secret(kube, "bp-redis")["redis-url"].endswith("@cache:6380")
    assert len(people["jwt-secret"].encode()) >= 32
    seed = derive_seed(people["jwt-secret"], INTERNAL_INFO).hex()
    assert secret(kube, "bp-internal") == {"internal-seed": seed}
    assert len(base64.urlsafe_b64decode(secret(kube, "bp-kafka")["cluster-id"] + "==")) == 16
    values = [value for name in made for value in secret(kube, name).values()]
    assert len([value for value in values if value != "billplane"]) == len(
        {value for value in values if value != "billplane"}
    )
    await jobs.bootstrap_secrets(options(*ALL, *STORES))
    assert secrets(kube) == made


def test_no_name_of_a_kafka_cluster_looks_like_an_option(monkeypatch):
    drawn = iter([bytes([0xF8] * 16), bytes([0xFB] * 16), bytes(16)])
    monkeypatch.setattr(bootstrap.secrets, "token_bytes", lambda _: next(drawn))
    store = bootstrap.Store("kafka", "kafka", 9092)
    assert bootstrap.values_of(store)["cluster-id"] == "A" * 22


async def test_a_secret_of_people_is_used_and_the_seed_follows_it(kube):
    theirs = {"kind": "Secret", "metadata": {"name": "ours", "namespace": "billplane"}}
    await kube.api.store.create({**theirs, "data": {"jwt-secret": "c2hvcnQ="}})
    with pytest.raises(SecretIncomplete, match="billplane/ours must hold jwt-secret"):
        await jobs.bootstrap_secrets(options(*ALL, "--people", "ours"))
    for text in ("x" * 32, "y" * 40):
        value = base64.b64encode(text.encode()).decode()
        patch = {"data": {"jwt-secret": value}}
        await kube.api.store.merge("Secret", "billplane", "ours", patch)
        await jobs.bootstrap_secrets(options(*ALL, "--people", "ours"))
        seed = derive_seed(text, INTERNAL_INFO).hex()
        assert secret(kube, "bp-internal") == {"internal-seed": seed}
    assert sorted(secrets(kube)) == ["bp-internal", "ours"]


async def test_the_first_key_works_and_is_made_once(kube, platform):
    tenant = kube.namespace
    words = options(
        "bootstrap-tenant", "--prefix", "bp", "--namespace", "billplane", "--tenant", tenant
    )
    settings = OperatorSettings.load("operator", platform.environ)
    assert await jobs.bootstrap_tenant(words, settings) == 0
    made = secret(kube, "bp-first-key")
    assert (made["tenant"], made["api-key"][:8]) == (tenant, "sk_test_")
    headers = {"Authorization": f"Bearer {made['api-key']}"}
    me = await platform.request("GET", "/auth/me", headers=headers, expect=200)
    assert (me["tenant_id"], me["livemode"], me["scopes"]) == (tenant, False, ["*"])
    assert await jobs.bootstrap_tenant(words, settings) == 0
    assert secret(kube, "bp-first-key") == made


async def test_an_identity_that_stays_away_ends_the_job_with_a_reason(kube, platform, capsys):
    environ = {**platform.environ, "BILLPLANE_OPERATOR_SERVICES_ADDRESS": "127.0.0.1:1"}
    settings = OperatorSettings.load("operator", environ)
    words = options("bootstrap-tenant", "--prefix", "bp", "--timeout", "0.5")
    with pytest.raises(jobs.PeersAway, match=r"identity did not answer within 0\.5 s"):
        await jobs.bootstrap_tenant(words, settings)


async def test_finalizers_go_while_the_operator_runs_and_it_brings_none_back(kube):
    await kube.apply("Meter", "kept", METER)
    await kube.apply("Meter", "deleted", METER)
    async with kube.operating():
        await kube.ready("Meter", "kept")
        await kube.ready("Meter", "deleted")
        await kube.delete("Meter", "deleted")
        words = options("drain-finalizers", "--timeout", "10")
        assert await jobs.drain_finalizers(words, kube.settings()) == 0
        await kube.gone("Meter", "deleted")
        assert not kube.get("Meter", "kept")["metadata"]["finalizers"]
        await kube.apply("Meter", "kept", METER | {"unit": "call"})
        await kube.ready("Meter", "kept")
        assert not kube.get("Meter", "kept")["metadata"]["finalizers"]
    await kube.delete("Meter", "kept")
    assert kube.get("Meter", "kept") is None
    # After the next install the resources that are there are held again.
    await kube.apply("Meter", "kept", METER)
    async with kube.operating():
        await eventually(lambda: kube.get("Meter", "kept")["metadata"].get("finalizers"))


async def test_what_nobody_cleans_up_after_is_let_go_when_the_time_is_up(kube):
    await kube.apply("Meter", "one", METER)
    async with kube.operating():
        await kube.ready("Meter", "one")
    await kube.delete("Meter", "one")
    assert kube.get("Meter", "one") is not None
    await jobs.drain_finalizers(options("drain-finalizers", "--timeout", "0.2"), kube.settings())
    assert kube.get("Meter", "one") is None


@pytest.mark.parametrize("text", ["mysql", "postgres=host:port", "=host", ""])
def test_a_store_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"is none of|is no host"):
        read_store(text, "bp")
