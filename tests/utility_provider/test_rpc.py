"""gRPC of utility_provider: what the operator applies, and what other services read."""

import json

import grpc
import pytest
from billplane.protos.utility_provider.v1 import utility_provider_pb2 as pb
from billplane.protos.utility_provider.v1 import utility_provider_pb2_grpc
from billplane.resources import spec_hash, validate_spec
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.utility_provider.specs import spec

EXAMPLE = "https://utility.example"


@pytest.fixture
async def stub(platform):
    async with platform.channel() as channel:
        yield utility_provider_pb2_grpc.UtilityProviderServiceStub(channel)


def operator(platform, tenant):
    return platform.metadata(tenant, subject="operator")


def application(generation=1, epoch=0, uid="uid-1", simulator_endpoint="", **changes):
    document = spec(**changes)
    return pb.ApplyProviderRequest(
        uid=uid,
        namespace="default",
        name="north",
        generation=generation,
        epoch=epoch,
        spec_hash=spec_hash(validate_spec("UtilityProvider", document)),
        spec_json=json.dumps(document),
        simulator_endpoint=simulator_endpoint,
    )


async def reason_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    info = error_details_pb2.ErrorInfo()
    for detail in rpc_status.from_call(refused.value).details:
        if detail.Unpack(info):
            return refused.value.code(), info.reason
    raise AssertionError("no ErrorInfo")


async def test_what_is_applied_is_listed_with_the_hash_that_is_run(platform, stub):
    metadata = operator(platform, "ten_upr1")
    wanted = application(url=EXAMPLE)
    first = await stub.ApplyProvider(wanted, metadata=metadata)
    again = await stub.ApplyProvider(wanted, metadata=metadata)
    assert again == first
    assert (first.spec_hash, first.version, first.endpoint) == (wanted.spec_hash, 1, EXAMPLE)
    listed = (await stub.ListApplied(pb.ListAppliedRequest(), metadata=metadata)).applied
    assert [(item.uid, item.generation, item.spec_hash, item.endpoint) for item in listed] == [
        ("uid-1", 1, wanted.spec_hash, EXAMPLE)
    ]


async def test_a_hand_edited_row_shows_another_hash_and_is_repaired_by_applying_again(
    platform, stub
):
    metadata = operator(platform, "ten_upr2")
    wanted = application(url=EXAMPLE)
    await stub.ApplyProvider(wanted, metadata=metadata)
    runtime = platform.platform.runtimes["utility_provider"]
    principal = platform.platform.tokens.verify(platform.token("ten_upr2"))
    for edit in ('{"country":"FR"}', '{"country":5}'):
        async with runtime.database.write(runtime, principal) as tx:
            connection = await tx.session.connection()
            await connection.exec_driver_sql(
                "UPDATE utility_provider.providers SET spec = spec || CAST($1 AS jsonb)", (edit,)
            )
        edited = (await stub.ListApplied(pb.ListAppliedRequest(), metadata=metadata)).applied[0]
        assert edited.spec_hash != wanted.spec_hash
        repaired = await stub.ApplyProvider(wanted, metadata=metadata)
        assert repaired.spec_hash == wanted.spec_hash


async def test_what_is_older_is_refused_as_stale(platform, stub):
    metadata = operator(platform, "ten_upr3")
    await stub.ApplyProvider(application(5, 2, url=EXAMPLE), metadata=metadata)
    for generation, epoch in ((4, 2), (9, 1)):
        code, reason = await reason_of(
            stub.ApplyProvider(application(generation, epoch, url=EXAMPLE), metadata=metadata)
        )
        assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STALE_GENERATION")
        removal = pb.RemoveProviderRequest(uid="uid-1", generation=generation, epoch=epoch)
        assert (await reason_of(stub.RemoveProvider(removal, metadata=metadata)))[1] == reason


async def test_the_simulator_is_asked_while_it_is_enabled(platform, stub, utility):
    metadata = operator(platform, "ten_upr4")
    simulated = application(
        url=EXAMPLE, simulator={"enabled": True}, simulator_endpoint=utility.url
    )
    applied = await stub.ApplyProvider(simulated, metadata=metadata)
    assert applied.endpoint == utility.url
    wanted = pb.ProbeProviderRequest(id="north")
    probed = await stub.ProbeProvider(wanted, metadata=metadata)
    assert probed.probed
    assert probed.provider.reachability == pb.REACHABILITY_REACHABLE
    assert [request.path for request in utility.asked] == ["/health"]
    real = await stub.ApplyProvider(application(2, url=EXAMPLE), metadata=metadata)
    assert (real.endpoint, real.version) == (EXAMPLE, 2)
    found = (await stub.GetProvider(pb.GetProviderRequest(id="north"), metadata=metadata)).provider
    assert found.reachability == pb.REACHABILITY_UNKNOWN


async def test_the_operators_own_simulator_may_have_a_private_address_and_no_other(
    make_stores, run_platform, utility
):
    closed = {"BILLPLANE_OUTGOING_ALLOW_LIST": "192.0.2.1"}
    async with (
        run_platform(await make_stores(), ("identity", "utility_provider"), **closed) as alone,
        alone.channel() as channel,
    ):
        stub = utility_provider_pb2_grpc.UtilityProviderServiceStub(channel)
        metadata = operator(alone, "ten_upr5")
        own = application(simulator_endpoint=utility.url)
        await stub.ApplyProvider(own, metadata=metadata)
        wanted = pb.ProbeProviderRequest(id="north")
        found = (await stub.ProbeProvider(wanted, metadata=metadata)).provider
        assert found.reachability == pb.REACHABILITY_REACHABLE, found.last_error
        await stub.ApplyProvider(application(2, url=utility.url), metadata=metadata)
        found = (await stub.ProbeProvider(wanted, metadata=metadata)).provider
        assert found.reachability == pb.REACHABILITY_UNREACHABLE
        assert found.last_error.startswith("URL_REFUSED")


async def test_an_address_of_no_simulator_is_refused(platform, stub):
    metadata = operator(platform, "ten_upr6")
    for endpoint in ("file:///etc/passwd", "http://user:word@host", "nonsense", "http://"):
        code, reason = await reason_of(
            stub.ApplyProvider(application(simulator_endpoint=endpoint), metadata=metadata)
        )
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "URL_INVALID")


async def test_what_is_removed_is_gone_and_can_be_applied_again(platform, stub):
    metadata = operator(platform, "ten_upr7")
    first = await stub.ApplyProvider(application(url=EXAMPLE), metadata=metadata)
    removal = pb.RemoveProviderRequest(uid="uid-1", generation=1, policy=pb.REMOVE_POLICY_RETAIN)
    await stub.RemoveProvider(removal, metadata=metadata)
    await stub.RemoveProvider(removal, metadata=metadata)
    wanted = pb.GetProviderRequest(id=first.id)
    code, _ = await reason_of(stub.GetProvider(wanted, metadata=metadata))
    assert code is grpc.StatusCode.NOT_FOUND
    again = await stub.ApplyProvider(application(2, url=EXAMPLE), metadata=metadata)
    assert again.id == first.id


async def test_keys_and_people_cannot_apply(platform, stub):
    metadata = platform.metadata("ten_upr8", subject="key:key_1")
    code, reason = await reason_of(stub.ApplyProvider(application(), metadata=metadata))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "INTERNAL_ONLY")


async def test_the_api_makes_and_merges_and_the_operator_leaves_it_alone(platform, stub):
    metadata = platform.metadata("ten_upr9")
    body = pb.CreateProviderRequest(request_id="r1", name="north", spec_json=json.dumps(spec()))
    made = (await stub.CreateProvider(body, metadata=metadata)).provider
    assert (await stub.CreateProvider(body, metadata=metadata)).provider == made
    patch = pb.UpdateProviderRequest(id=made.id, spec_json='{"displayName": "North"}')
    changed = (await stub.UpdateProvider(patch, metadata=metadata)).provider
    assert (changed.version, json.loads(changed.spec_json)["displayName"]) == (2, "North")
    own = operator(platform, "ten_upr9")
    code, reason = await reason_of(stub.ApplyProvider(application(), metadata=own))
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "NAME_TAKEN")
    assert not (await stub.ListApplied(pb.ListAppliedRequest(), metadata=own)).applied


async def test_a_list_is_narrowed_and_pages(platform, stub):
    metadata = platform.metadata("ten_upr10")
    for name, country in (("a", "DE"), ("b", "DE"), ("c", "FR")):
        text = json.dumps(spec(country=country))
        body = pb.CreateProviderRequest(name=name, spec_json=text)
        await stub.CreateProvider(body, metadata=metadata)
    first = await stub.ListProviders(
        pb.ListProvidersRequest(country="DE", page_size=1), metadata=metadata
    )
    second = await stub.ListProviders(
        pb.ListProvidersRequest(country="DE", page_size=1, page_token=first.next_page_token),
        metadata=metadata,
    )
    assert [item.name for item in (*first.providers, *second.providers)] == ["b", "a"]
    assert second.next_page_token == ""
    code, reason = await reason_of(
        stub.ListProviders(pb.ListProvidersRequest(category="Coal"), metadata=metadata)
    )
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CATEGORY_UNKNOWN")
