"""REST bodies of identity."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from billplane.chassis.fields import Instant
from billplane.chassis.rest import Body, Resource

Text = Annotated[str, StringConstraints(max_length=255)]


class RegisterBody(Body):
    """A person to be."""

    email: Text
    password: Annotated[str, StringConstraints(max_length=1024)]


class LoginBody(RegisterBody):
    """E-mail and password, and the tenant when there are several."""

    tenant_id: Text | None = None


class RefreshBody(Body):
    """A refresh token."""

    refresh_token: Text


class Registered(Resource):
    """A new user in a new tenant."""

    id: str
    email: str
    tenant_id: str
    created_at: datetime


class Session(Resource):
    """What a log-in gives; `expires_in` in seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a word of RFC 6749
    expires_in: int
    refresh_token: str


class Me(Resource):
    """Who calls."""

    subject: str
    tenant_id: str
    livemode: bool
    scopes: list[str]
    id: str | None = None
    email: str | None = None
    role: str | None = None


class KeyBody(Body):
    """An API key to be; only staff may take the limits off it."""

    type: Literal["test", "live"] = "test"
    name: Text = ""
    scopes: list[Text] = Field(default_factory=lambda: ["*"], min_length=1, max_length=50)
    limits: Literal["standard", "none"] = "standard"
    expires_at: Instant | None = None


class Key(Resource):
    """An API key without its secret."""

    id: str
    type: Literal["test", "live"]
    livemode: bool
    name: str
    scopes: list[str]
    limits: Literal["standard", "none"]
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


class NewKey(Key):
    """An API key; `key` is shown here only."""

    key: str


class KeyList(Resource):
    """A page of keys."""

    data: list[Key]
    next_cursor: str | None


class JsonWebKey(Resource):
    """A public key (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class JsonWebKeySet(Resource):
    """The public keys that verify our tokens (RFC 7517)."""

    keys: list[JsonWebKey]
