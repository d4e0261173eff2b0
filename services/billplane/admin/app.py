"""The wiring of admin."""

from billplane.admin.rest import rest
from billplane.admin.rpc import rpc
from billplane.chassis.acting import STAFF_ACTED
from billplane.chassis.app import Route, ServiceApp

app = ServiceApp(
    name="admin",
    title="Admin",
    description="What people of the operating company do: dead letters, the audit log.",
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/admin/dead_letters"),
        Route("/admin/audit_log"),
        Route("/admin/staff"),
        Route("/admin/webhooks/stripe", limit="none", public=True),
    ],
    messages=[STAFF_ACTED],
    # Each of them answers OperationsService.
    depends_on=[
        "billing_core",
        "discount",
        "exchange_rate",
        "gateway",
        "identity",
        "invoice",
        "ledger",
        "listener",
        "metering",
        "notification",
        "payment",
        "pricing",
        "subscription",
        "tax",
        "utility_provider",
    ],
    kept_rest_ports=[50057],
    kept_grpc_ports=[50056],
)
