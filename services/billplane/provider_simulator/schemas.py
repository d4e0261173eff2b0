"""Bodies of the provider JSON API: what every utility behind `connection.json` says."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

DecimalText = Annotated[
    str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="A decimal number, exact.")
]
CurrencyCode = Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217 code.")]


class Given(BaseModel):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Credentials(Given):
    """What a customer logs in with."""

    username: Annotated[str, Field(min_length=1, max_length=255)]
    password: Annotated[str, Field(min_length=1, max_length=255)]


class SecondFactor(Given):
    """The answer to a 403 with `mfa`."""

    challenge: Annotated[str, Field(max_length=1000, description="`mfa.challenge` of the 403.")]
    code: Annotated[str, Field(max_length=20, description="The code that the customer was sent.")]


class Session(BaseModel):
    """A session; its token goes into `Authorization: Bearer …`."""

    token: str
    expires_in: Annotated[int, Field(description="Seconds.")]


class Challenge(BaseModel):
    """How the customer was sent a code."""

    channel: Literal["sms", "email", "app"]
    challenge: str


class Error(BaseModel):
    """Why a request was refused."""

    error: Annotated[str, Field(description="For programs: token_expired, account_locked, …")]
    detail: Annotated[str, Field(description="For people.")]


class LogInRefused(Error):
    """Why a log-in was refused; with `mfa` it goes on at POST /v1/session/mfa."""

    mfa: Challenge | None = None


class Account(BaseModel):
    """A customer's contract for one place of delivery."""

    id: str
    number: Annotated[str, Field(description="As printed on bills.")]
    holder: str
    address: str
    category: str
    meter_id: str
    unit: Annotated[str, Field(description="Unit of its quantities.")]
    tariff: str
    currency: CurrencyCode
    time_zone: Annotated[str, Field(description="IANA time zone of its dates.")]
    opened_on: date


class AccountList(BaseModel):
    """Every account of the customer."""

    accounts: list[Account]


class Line(BaseModel):
    """One line of a bill; the lines sum to the total."""

    kind: Literal["fixed", "energy", "demand", "tax", "fee", "credit", "other"]
    description: str
    quantity: DecimalText | None
    unit: str | None
    amount: DecimalText


class Bill(BaseModel):
    """A bill. One that `corrects` another replaces it whole."""

    id: str
    account_id: str
    statement_date: Annotated[date, Field(description="The day it was sent.")]
    period_start: Annotated[date, Field(description="First day of the period.")]
    period_end: Annotated[date, Field(description="First day after the period.")]
    due_date: date
    currency: CurrencyCode
    total: DecimalText
    usage: Annotated[DecimalText, Field(description="Whole quantity used in the period.")]
    unit: str
    lines: list[Line]
    tariff: str
    corrects: Annotated[str | None, Field(description="Id of the bill that this one replaces.")]
    document_url: Annotated[str | None, Field(description="Where the printed bill is.")]


class BillList(BaseModel):
    """A page of bills, oldest first."""

    bills: list[Bill]
    next_cursor: str | None


class Health(BaseModel):
    """The API answers."""

    status: Literal["ok"]


class FaultBody(Given):
    """Something that shall go wrong, here and nowhere else."""

    kind: Literal["latency", "error", "rate_limit", "expired_token", "malformed", "mfa"]
    path: Annotated[str, Field(pattern="^/", max_length=200)] = "/v1"
    count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    status: Annotated[int, Field(ge=500, le=599)] = 503
    milliseconds: Annotated[int, Field(ge=0, le=600_000)] = 0
    retry_after_seconds: Annotated[int, Field(ge=0, le=3600)] = 1


class FaultList(BaseModel):
    """What goes wrong at present."""

    faults: list[FaultBody]


class KnownCustomer(BaseModel):
    """Somebody to log in as."""

    username: str
    password: str


class KnownCustomers(BaseModel):
    """Everybody to log in as; `code` is the second factor where one is asked for."""

    well_known: list[KnownCustomer]
    first: KnownCustomer
    last: KnownCustomer
    code: str
