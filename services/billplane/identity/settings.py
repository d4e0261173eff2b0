"""Settings of identity."""

from pydantic import Field

from billplane.chassis.settings import Settings


class IdentitySettings(Settings):
    """What identity reads beside the shared settings."""

    previous_jwt_secret: str = Field(default="", repr=False)
    """The secret before the last change; tokens signed under it are accepted until they expire."""
    activate_tenants: bool = False
    """True lets a new tenant make live keys at once."""
    access_token_seconds: int = Field(default=900, ge=60, le=900)
    """Lifetime of an access token, in seconds."""
    refresh_token_seconds: int = 30 * 86_400
    """Lifetime of a refresh token, in seconds."""
    logins_per_minute: int = 5
    """Failed log-ins allowed to one account in a minute."""
