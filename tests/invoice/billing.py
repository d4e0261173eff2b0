"""A billing run, as tests play it."""

from datetime import UTC, datetime

from billplane.chassis.rpc import to_timestamp
from billplane.protos.discount.v1 import discount_pb2, discount_pb2_grpc
from billplane.protos.invoice.v1 import invoice_pb2 as pb
from billplane.protos.invoice.v1 import invoice_pb2_grpc

JANUARY = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
AUSTRIAN = pb.CustomerSnapshot(
    customer_id="cus_1",
    name="Alpenglow KG",
    address=pb.Address(line1="Ring 1", postal_code="1010", city="Wien", country="AT"),
    tax_type="consumer",
    payment_terms_days=30,
)


class Billing:
    """A billing run of one tenant."""

    def __init__(self, platform, tenant, channel):
        self.platform = platform
        self.tenant = tenant
        self.stub = invoice_pb2_grpc.InvoiceServiceStub(channel)
        self.discount = discount_pb2_grpc.DiscountServiceStub(channel)

    def metadata(self, **options):
        options = {"subject": "service:subscription", **options}
        return self.platform.metadata(self.tenant, **options)

    def request(self, *amounts, subscription="", period=JANUARY, **values):
        values.setdefault("customer", AUSTRIAN)
        values.setdefault("currency_code", "EUR")
        lines = [
            pb.NewLine(charge="fee", kind="recurring", description="Fee", amount_minor=amount)
            for amount in amounts
        ]
        if subscription:
            values["period_starts_at"], values["period_ends_at"] = map(to_timestamp, period)
        return pb.CreateInvoiceRequest(lines=lines, subscription_id=subscription, **values)

    async def create(self, *amounts, **values):
        request = self.request(*amounts, **values)
        return (await self.stub.CreateInvoice(request, metadata=self.metadata())).invoice

    async def finalize(self, invoice_id, **values):
        request = pb.FinalizeInvoiceRequest(id=invoice_id, **values)
        return (await self.stub.FinalizeInvoice(request, metadata=self.metadata())).invoice

    async def void(self, invoice_id, **values):
        request = pb.VoidInvoiceRequest(id=invoice_id, **values)
        return (await self.stub.VoidInvoice(request, metadata=self.metadata())).invoice

    async def get(self, invoice_id):
        request = pb.GetInvoiceRequest(id=invoice_id)
        return (await self.stub.GetInvoice(request, metadata=self.metadata())).invoice

    async def coupon(self, code, **values):
        if "amount_minor" not in values:
            values.setdefault("percent", "10")
        request = discount_pb2.CreateCouponRequest(coupon=discount_pb2.Coupon(code=code, **values))
        return (await self.discount.CreateCoupon(request, metadata=self.metadata())).coupon

    async def redemptions(self, code):
        request = discount_pb2.GetCouponRequest(id=code)
        answer = await self.discount.GetCoupon(request, metadata=self.metadata())
        return answer.coupon.redemptions
