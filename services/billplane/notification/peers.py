"""What notification asks of invoice."""

from billplane.chassis.auth import service_principal
from billplane.chassis.jobs import Worker
from billplane.protos.invoice.v1 import invoice_pb2, invoice_pb2_grpc


async def invoice_pdf(
    worker: Worker, tenant_id: str, invoice_id: str, *, livemode: bool
) -> tuple[str, str, bytes]:
    """Return the PDF of an issued invoice.

    Shape: file name, media type, content.
    Raises: the peer's errors.
    """
    channels = worker.runtime.channels
    stub = invoice_pb2_grpc.InvoiceServiceStub(channels.get("invoice"))
    answer = await channels.ask(
        stub.GetInvoiceDocument,
        invoice_pb2.GetInvoiceDocumentRequest(id=invoice_id, format="pdf"),
        service_principal(worker.runtime.name, tenant_id, livemode),
    )
    return answer.file_name, answer.media_type, answer.content
