"""What a tenant prints, how it numbers, and how its documents look."""

from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Reader, Writer, router
from billplane.invoice import domain
from billplane.invoice.schemas import settings as schemas
from billplane.invoice.service import lifecycle, pricing

rest = router(tags=["invoice"])


@rest.get("/v1/invoice_settings")
async def get_settings(tx: Reader) -> schemas.InvoiceSettings:
    """Return what the tenant prints and how it numbers."""
    return schemas.InvoiceSettings.model_validate(await lifecycle.get_settings(tx))


@rest.put("/v1/invoice_settings")
async def set_settings(body: schemas.SettingsBody, tx: Writer) -> schemas.InvoiceSettings:
    """Store what the tenant prints and how it numbers; issued documents keep what they say."""
    if body.prefix == body.credit_note_prefix:
        detail = "invoices and credit notes are numbered apart: their prefixes differ"
        raise Invalid([FieldError("/credit_note_prefix", "PREFIX_TAKEN", detail)])
    settings = domain.Settings(
        pricing.seller_of(body.seller.model_dump()),
        body.prefix,
        body.payment_terms_days,
        body.credit_note_prefix,
        body.e_invoice,
        domain.Template(**body.template.model_dump()),
    )
    return schemas.InvoiceSettings.model_validate(await lifecycle.set_settings(tx, settings))
