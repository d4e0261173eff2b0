"""What subscription asks of others: plans, usage, rates, lines, documents."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from billplane.chassis.auth import Principal, service_principal
from billplane.chassis.call import Call
from billplane.chassis.rpc import to_timestamp
from billplane.chassis.runtime import Runtime
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2, exchange_rate_pb2_grpc
from billplane.protos.invoice.v1 import invoice_pb2, invoice_pb2_grpc
from billplane.protos.metering.v1 import metering_pb2, metering_pb2_grpc
from billplane.protos.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from billplane.resources import BillingPlanSpec
from billplane.resources.usage_windows import UsageQuery

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

PAGE = 5_000
PLANS_MAX = 500
LONG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One version of a plan."""

    id: str
    name: str
    version: int
    state: str
    spec: BillingPlanSpec


Plans = OrderedDict[tuple[str, str, int], Plan]
"""Versions that were read, by tenant, plan and version."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The peers as one caller sees them."""

    runtime: Runtime
    principal: Principal
    request_id: str

    async def plan(self, wanted: str, version: int = 0) -> Plan:
        """Return a version of a plan by id or name, the newest by default.

        A version never changes, so that one that was read is kept.
        """
        kept: Plans = self.runtime.state.plans
        key = (self.principal.tenant_id, wanted, version)
        if version and key in kept:
            return kept[key]
        stub = pricing_pb2_grpc.PricingServiceStub(self.runtime.channels.get("pricing"))
        request = pricing_pb2.GetPlanRequest(id=wanted, version=version)
        return self._kept((await self._ask(stub.GetPlan, request)).plan)

    async def plan_at(
        self, wanted: str, at: datetime
    ) -> tuple[Plan, list[pricing_pb2.UpcomingVersion]]:
        """Return the version of a plan that is in effect by an instant, and what comes later.

        Shape: all that is later is newer; one without an instant of its own is in effect.
        """
        stub = pricing_pb2_grpc.PricingServiceStub(self.runtime.channels.get("pricing"))
        request = pricing_pb2.GetPlanRequest(id=wanted, at=to_timestamp(at))
        answer = await self._ask(stub.GetPlan, request)
        return self._kept(answer.plan), list(answer.upcoming)

    def _kept(self, found: pricing_pb2.Plan) -> Plan:
        kept: Plans = self.runtime.state.plans
        spec = BillingPlanSpec.parse(json.loads(found.spec_json))
        plan = Plan(found.id, found.name, found.version, found.state, spec)
        kept[self.principal.tenant_id, plan.id, plan.version] = plan
        if len(kept) > PLANS_MAX:
            kept.popitem(last=False)
        return plan

    async def flush_usage(self, until: datetime) -> None:
        """Wait until acknowledged usage is stored."""
        stub = metering_pb2_grpc.MeteringServiceStub(self.runtime.channels.get("metering"))
        await self._ask(stub.FlushUsage, metering_pb2.FlushUsageRequest(until=to_timestamp(until)))

    async def usage(
        self,
        query: UsageQuery,
        customer_id: str,
        aliases: Sequence[str],
        starts_at: datetime,
        ends_at: datetime,
    ) -> list[pricing_pb2.UsageRow]:
        """Return the usage that one charge is rated from."""
        request = metering_pb2.QueryUsageRequest(
            customer_id=customer_id,
            customer_aliases=aliases,
            meter=query.meter,
            starts_at=to_timestamp(starts_at),
            ends_at=to_timestamp(ends_at),
            time_zone=query.time_zone,
            window=metering_pb2.UsageWindow.Value(f"USAGE_WINDOW_{query.window}"),
            group_by=query.group_by,
            filter=[
                metering_pb2.UsageFilter(property=name, values=values)
                for name, values in query.filter
            ],
            event_properties=query.event_properties,
        )
        return [
            pricing_pb2.UsageRow(
                dimensions=row.dimensions,
                starts_at=row.starts_at,
                seconds=row.seconds,
                quantity=row.quantity,
                event_count=row.event_count,
                properties=row.properties,
            )
            for row in await self._usage_rows(request)
        ]

    async def changed_periods(
        self,
        customer_id: str,
        aliases: Sequence[str],
        periods: Sequence[tuple[datetime, datetime, datetime]],
    ) -> list[int]:
        """Return the numbers of periods whose usage changed; each has start, end and when read."""
        stub = metering_pb2_grpc.MeteringServiceStub(self.runtime.channels.get("metering"))
        request = metering_pb2.ListChangedPeriodsRequest(
            customer_id=customer_id,
            customer_aliases=aliases,
            periods=[
                metering_pb2.ReadPeriod(
                    starts_at=to_timestamp(starts_at),
                    ends_at=to_timestamp(ends_at),
                    read_at=to_timestamp(read_at),
                )
                for starts_at, ends_at, read_at in periods
            ],
        )
        return list((await self._ask(stub.ListChangedPeriods, request)).changed)

    async def daily_usage(
        self,
        query: UsageQuery,
        customer_id: str,
        aliases: Sequence[str],
        starts_at: datetime,
        ends_at: datetime,
    ) -> list[tuple[datetime, str]]:
        """Return a charge's usage by local day, for the chart."""
        request = metering_pb2.QueryUsageRequest(
            customer_id=customer_id,
            customer_aliases=aliases,
            meter=query.meter,
            starts_at=to_timestamp(starts_at),
            ends_at=to_timestamp(ends_at),
            time_zone=query.time_zone,
            window=metering_pb2.USAGE_WINDOW_DAY,
            filter=[
                metering_pb2.UsageFilter(property=name, values=values)
                for name, values in query.filter
            ],
        )
        rows = await self._usage_rows(request)
        return [(row.starts_at.ToDatetime(tzinfo=starts_at.tzinfo), row.quantity) for row in rows]

    async def _usage_rows(
        self, request: metering_pb2.QueryUsageRequest
    ) -> list[metering_pb2.UsageRow]:
        stub = metering_pb2_grpc.MeteringServiceStub(self.runtime.channels.get("metering"))
        rows: list[metering_pb2.UsageRow] = []
        request.page_size = PAGE
        while True:
            answer = await self._ask(stub.QueryUsage, request)
            rows += answer.rows
            if not answer.next_page_token:
                return rows
            request.page_token = answer.next_page_token

    async def rate(
        self, base: str, quote: str, feed: str, as_of: date, at: datetime
    ) -> exchange_rate_pb2.Rate:
        """Return the rate of a pair as of a date."""
        stub = exchange_rate_pb2_grpc.ExchangeRateServiceStub(
            self.runtime.channels.get("exchange_rate")
        )
        request = exchange_rate_pb2.GetRateRequest(
            base=base, quote=quote, feed=feed, as_of=as_of.isoformat(), at=to_timestamp(at)
        )
        return (await self._ask(stub.GetRate, request)).rate

    async def rated(self, request: pricing_pb2.RatePeriodRequest) -> pricing_pb2.RatePeriodResponse:
        """Return the lines of a period."""
        stub = pricing_pb2_grpc.PricingServiceStub(self.runtime.channels.get("pricing"))
        return await self._ask(stub.RatePeriod, request)

    async def create_invoice(
        self, request: invoice_pb2.CreateInvoiceRequest
    ) -> invoice_pb2.Invoice:
        """Create the draft of a period, or return the one that exists."""
        stub = invoice_pb2_grpc.InvoiceServiceStub(self.runtime.channels.get("invoice"))
        return (await self._ask(stub.CreateInvoice, request)).invoice

    async def invoice(self, invoice_id: str) -> invoice_pb2.Invoice:
        """Return a document."""
        stub = invoice_pb2_grpc.InvoiceServiceStub(self.runtime.channels.get("invoice"))
        request = invoice_pb2.GetInvoiceRequest(id=invoice_id)
        return (await self._ask(stub.GetInvoice, request)).invoice

    async def preview_invoice(
        self, request: invoice_pb2.CreateInvoiceRequest
    ) -> invoice_pb2.Invoice:
        """Compute what CreateInvoice would make."""
        stub = invoice_pb2_grpc.InvoiceServiceStub(self.runtime.channels.get("invoice"))
        preview = invoice_pb2.PreviewInvoiceRequest(invoice=request)
        return (await self._ask(stub.PreviewInvoice, preview)).invoice

    async def finalize_invoice(self, invoice_id: str, at: datetime) -> invoice_pb2.Invoice:
        """Number and freeze a draft."""
        stub = invoice_pb2_grpc.InvoiceServiceStub(self.runtime.channels.get("invoice"))
        request = invoice_pb2.FinalizeInvoiceRequest(
            request_id=f"finalize:{invoice_id}", id=invoice_id, at=to_timestamp(at)
        )
        return (await self._ask(stub.FinalizeInvoice, request)).invoice

    async def _ask(
        self, method: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]", request: Request
    ) -> Response:
        return await self.runtime.channels.ask(
            method, request, self.principal, self.request_id, LONG_SECONDS
        )


def peers_of(call: Call) -> Peers:
    """Return the peers as this service sees them, for the caller's tenant and mode."""
    caller = call.principal
    own = service_principal(call.runtime.name, caller.tenant_id, caller.livemode)
    return Peers(call.runtime, own, call.request_id)
