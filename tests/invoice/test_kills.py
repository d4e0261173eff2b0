"""A process that dies while it finalizes: whoever comes next ends what it began."""

import asyncio
import os
import sys

import grpc
import pytest
from billplane.chassis.faults import POINTS
from billplane.chassis.jobs import Worker
from billplane.invoice import jobs
from billplane.protos.invoice.v1 import invoice_pb2 as pb

from tests.fixtures.ports import free_port_offset
from tests.invoice.billing import Billing

# What the next one finds, and what it makes of it.
FINAL = ("finalized", 1)
AGAIN_DRAFT = ("draft", 0)
STEPS = {
    "invoice.after_attempt": FINAL,
    "invoice.after_discounts": FINAL,
    "invoice.after_tax": FINAL,
    "invoice.before_number_ends": FINAL,
}
ABANDONING = {
    "invoice.after_abandoning": AGAIN_DRAFT,
    "invoice.after_reversal": AGAIN_DRAFT,
}
CREDIT = "invoice.before_credit_note_ends"


def test_every_fault_point_of_invoice_is_tried_here():
    assert {name for name in POINTS if name.startswith("invoice.")} == {
        *STEPS,
        *ABANDONING,
        CREDIT,
    }


async def finalize_in_a_process_that_dies(platform, billing, invoice_id, fault):
    """Finalize where the fault point ends the process."""

    async def finalize(other):
        await other.finalize(invoice_id)

    await in_a_process_that_dies(platform, billing, fault, finalize)


async def in_a_process_that_dies(platform, billing, fault, ask):
    """Run the services in a process of their own until the fault point ends it."""
    offset = free_port_offset()
    environ = {
        **os.environ,
        **platform.environ,
        "BILLPLANE_PORT_OFFSET": str(offset),
        "BILLPLANE_LOG_LEVEL": "WARNING",
        "FAULT": fault,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", "discount", "invoice", "tax"), env=environ
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{50051 + offset}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 30)
            with pytest.raises(grpc.aio.AioRpcError):
                await ask(Billing(platform, billing.tenant, channel))
        assert await asyncio.wait_for(process.wait(), 10) == 137
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run_janitor(platform):
    runtime = platform.platform.runtimes["invoice"]
    before = runtime.settings
    runtime.settings = before.model_copy(update={"stale_attempt_seconds": 0})
    try:
        await jobs.resume_attempts(Worker(runtime))
    finally:
        runtime.settings = before


@pytest.mark.parametrize("fault", STEPS)
async def test_a_step_that_was_cut_off_is_ended_by_the_janitor(platform, billing, fault):
    await billing.coupon("TEN", duration="forever")
    draft = await billing.create(10_000, coupon_codes=["TEN"])
    await finalize_in_a_process_that_dies(platform, billing, draft.id, fault)
    assert (await billing.get(draft.id)).state == "finalizing"
    await run_janitor(platform)
    final = await billing.get(draft.id)
    state, redemptions = STEPS[fault]
    assert (final.state, await billing.redemptions("TEN")) == (state, redemptions)
    assert final.number.endswith("-000001")
    assert final.total_minor == 10_800
    listed = await platform.request(
        "GET",
        f"/v1/tax_calculations?reference={draft.id}",
        headers=platform.headers(billing.tenant),
    )
    assert len(listed["data"]) == 1
    assert await billing.finalize(draft.id) == final


@pytest.mark.parametrize("fault", ABANDONING)
async def test_an_abandoned_attempt_is_undone_by_the_janitor(platform, billing, fault):
    await billing.coupon("GONE")
    await billing.coupon("STAYS")
    draft = await billing.create(10_000, coupon_codes=["GONE", "STAYS"])
    headers = platform.headers(billing.tenant)
    await platform.request("DELETE", "/v1/coupons/GONE", headers=headers, expect=204)
    await finalize_in_a_process_that_dies(platform, billing, draft.id, fault)
    assert (await billing.get(draft.id)).state == "finalizing"
    await run_janitor(platform)
    again = await billing.get(draft.id)
    state, redemptions = ABANDONING[fault]
    assert (again.state, await billing.redemptions("STAYS")) == (state, redemptions)
    assert (await billing.finalize(draft.id)).discount_minor == 1_000


async def test_a_credit_note_that_was_cut_off_takes_nothing_and_no_number(platform, billing):
    final = await billing.finalize((await billing.create(10_000)).id)
    request = pb.CreateCreditNoteRequest(request_id="r1", invoice_id=final.id, amount_minor=100)

    async def credit(other):
        await other.stub.CreateCreditNote(request, metadata=other.metadata())

    await in_a_process_that_dies(platform, billing, "invoice.before_credit_note_ends", credit)
    assert (await billing.get(final.id)).credited_minor == 0
    made = await billing.stub.CreateCreditNote(request, metadata=billing.metadata())
    assert made.credit_note.number.endswith("-000001")
    again = await billing.stub.CreateCreditNote(request, metadata=billing.metadata())
    assert again.credit_note == made.credit_note
    assert (await billing.get(final.id)).credited_minor == 100


async def test_another_caller_takes_up_what_was_cut_off(platform, billing):
    draft = await billing.create(10_000)
    await finalize_in_a_process_that_dies(platform, billing, draft.id, "invoice.after_tax")
    made = await asyncio.gather(*(billing.finalize(draft.id) for _ in range(3)))
    assert {item.number for item in made} == {made[0].number}
