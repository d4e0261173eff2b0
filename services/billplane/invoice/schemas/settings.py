"""Bodies of what a tenant prints and how it numbers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError
from stdnum import bic, iban

from billplane.chassis.rest import Body, Resource
from billplane.invoice.render import LogoInvalid, overridable, read_logo
from billplane.invoice.schemas.invoices import Address, AddressBody, Locale, Long, Text

EInvoice = Literal["off", "required"]
# Longer than any logo that is taken, in base64.
_LOGO_MAX = 400_000
_WORD_MAX = 60


def _iban(value: str) -> str:
    compact = str(iban.compact(value)).upper()
    if compact and not iban.is_valid(compact):
        raise PydanticCustomError("IBAN_INVALID", "must be an IBAN with its right check digits", {})
    return compact


def _bic(value: str) -> str:
    compact = value.replace(" ", "").upper()
    if compact and not bic.is_valid(compact):
        raise PydanticCustomError("BIC_INVALID", "must be a BIC of 8 or 11 characters", {})
    return compact


def _logo(value: str) -> str:
    if not value:
        return ""
    try:
        return read_logo(value).content
    except LogoInvalid as error:
        raise PydanticCustomError("LOGO_INVALID", "{why}", {"why": str(error)}) from None


def _words(value: dict[str, str]) -> dict[str, str]:
    unknown = sorted(set(value) - overridable())
    if unknown:
        raise PydanticCustomError(
            "WORD_UNKNOWN", "{word} is no word that can be changed", {"word": unknown[0]}
        )
    return value


Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{0,20}$")]
Colour = Annotated[str, StringConstraints(pattern=r"^(#[0-9A-Fa-f]{6})?$", to_lower=True)]
Logo = Annotated[str, StringConstraints(max_length=_LOGO_MAX), AfterValidator(_logo)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=_WORD_MAX, pattern=r"^[^\n\r]+$")]
Words = Annotated[dict[str, Word], AfterValidator(_words)]
Scheme = Annotated[str, StringConstraints(pattern=r"^(EM|AN|AQ|AS|AU|[0-9]{4})?$")]


class SellerBody(Body):
    """The tenant as it stands on its documents."""

    name: Text = ""
    address: AddressBody = Field(default_factory=AddressBody)
    tax_id: Text = ""
    tax_number: Text = ""
    registration: Text = ""
    email: Text = ""
    phone: Text = ""
    contact_name: Text = ""
    electronic_address: Text = ""
    electronic_address_scheme: Scheme = ""
    iban: Annotated[Text, AfterValidator(_iban)] = ""
    bic: Annotated[Text, AfterValidator(_bic)] = ""
    account_name: Text = ""
    payment_instructions: Long = ""
    footer: Long = ""


class TemplateBody(Body):
    """How documents look: a colour, a logo (PNG or JPEG, base64), and other words by language."""

    accent: Colour = ""
    logo: Logo = ""
    wording: dict[Locale, Words] = Field(default_factory=dict)


class SettingsBody(Body):
    """What a tenant prints and how it numbers."""

    seller: SellerBody = Field(default_factory=SellerBody)
    prefix: Prefix = ""
    credit_note_prefix: Prefix = "CN-"
    payment_terms_days: Annotated[int, Field(ge=0, le=366, strict=True)] = 14
    e_invoice: EInvoice = "off"
    template: TemplateBody = Field(default_factory=TemplateBody)


class Seller(Resource):
    """The tenant as it stands on its documents."""

    name: str
    address: Address
    tax_id: str
    tax_number: str
    registration: str
    email: str
    phone: str
    contact_name: str
    electronic_address: str
    electronic_address_scheme: str
    iban: str
    bic: str
    account_name: str
    payment_instructions: str
    footer: str


class Template(Resource):
    """How documents look."""

    accent: str
    logo: str
    wording: dict[str, dict[str, str]]


class InvoiceSettings(Resource):
    """What a tenant prints and how it numbers."""

    seller: Seller
    prefix: str
    credit_note_prefix: str
    payment_terms_days: int
    e_invoice: EInvoice
    template: Template
