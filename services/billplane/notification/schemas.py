"""REST bodies of notification."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from billplane.chassis.rest import Body, Resource
from billplane.chassis.stripe_dialect import Flag, Metadata, StripeBody, WholeNumber

Url = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
EventType = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Locale = Annotated[str, StringConstraints(pattern=r"^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$")]
DeliveryState = Literal["pending", "succeeded", "failed", "canceled"]
MessageState = Literal["queued", "sent", "failed", "not_configured"]


class EndpointBody(StripeBody):
    """A webhook endpoint to make."""

    url: Url
    enabled_events: list[EventType] = Field(min_length=1, max_length=200)
    description: Annotated[str, StringConstraints(max_length=5000)] | None = None
    metadata: Metadata | None = None
    api_version: Annotated[str, StringConstraints(max_length=40)] | None = None


class EndpointChanges(StripeBody):
    """What is to change of a webhook endpoint."""

    url: Url | None = None
    enabled_events: list[EventType] | None = Field(default=None, min_length=1, max_length=200)
    description: Annotated[str, StringConstraints(max_length=5000)] | None = None
    metadata: Metadata | None = None
    disabled: Flag | None = None


class RotationBody(StripeBody):
    """How long the secret before signs too, in seconds."""

    expires_in: WholeNumber | None = None


class RetryBody(StripeBody):
    """Where an event is to be delivered again."""

    webhook_endpoint: Annotated[str, StringConstraints(min_length=1, max_length=255)]


class Attempt(Resource):
    """One attempt at a delivery."""

    number: int
    attempted_at: datetime
    milliseconds: int
    status: int | None
    error: str
    answer: str


class Delivery(Resource):
    """One event on its way to one endpoint."""

    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    last_status: int | None
    last_error: str
    created_at: datetime
    finished_at: datetime | None


class DeliveryDetail(Delivery):
    """A delivery with its attempts."""

    log: list[Attempt]


class DeliveryList(Resource):
    """A page of deliveries."""

    data: list[Delivery]
    next_cursor: str | None


class Notification(Resource):
    """An e-mail or short message."""

    id: str
    channel: str
    recipient: str
    template: str
    locale: str
    variables: dict[str, str]
    subject: str
    state: str
    detail: str
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    sent_at: datetime | None


class NotificationList(Resource):
    """A page of e-mails and short messages."""

    data: list[Notification]
    next_cursor: str | None


class TemplateBody(Body):
    """A wording; without html that part is made of the text."""

    subject: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    text: Annotated[str, StringConstraints(min_length=1, max_length=60_000)]
    html: Annotated[str, StringConstraints(max_length=60_000)] = ""


class Template(Resource):
    """A wording, the tenant's own or ours."""

    name: str
    locale: str
    own: bool
    subject: str
    text: str
    html: str


class TemplateList(Resource):
    """The tenant's own wordings; there are few, so that there is no next page."""

    data: list[Template]
    next_cursor: str | None


class SettingsBody(Body):
    """How the tenant's messages look; `notice_email` hears of disabled webhook endpoints."""

    locale: Locale = ""
    sender_name: Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\r\n]*$")] = ""
    reply_to: Annotated[str, StringConstraints(max_length=254)] = ""
    notice_email: Annotated[str, StringConstraints(max_length=254)] = ""


class Settings(Resource):
    """How the tenant's messages look."""

    locale: str
    sender_name: str
    reply_to: str
    notice_email: str
