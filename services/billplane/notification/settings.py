"""Settings of notification."""

from pydantic import Field

from billplane.chassis.settings import Settings


class NotificationSettings(Settings):
    """What notification reads beside the shared settings."""

    webhook_timeout_seconds: float = 10
    """How long an endpoint may take to answer, in seconds."""
    webhook_connections: int = Field(default=1000, ge=10)
    """Deliveries that one process has in hand at once."""
    webhooks_per_endpoint: int = Field(default=8, ge=1)
    """Deliveries under way to one endpoint at once; one that fails gets one at a time."""
    smtp_host: str = ""
    """Mail server; empty = e-mails are kept as not_configured and can be sent later."""
    smtp_port: int = 587
    """Port of the mail server."""
    smtp_security: str = Field(default="starttls", pattern="^(starttls|tls|off)$")
    """starttls, tls from the first byte, or off."""
    smtp_ca_file: str = ""
    """Certificates that the mail server's is verified against; empty = the system's."""
    smtp_username: str = ""
    """User of the log-in; empty = no log-in."""
    smtp_password: str = Field(default="", repr=False)
    """Password of the log-in."""
    smtp_timeout_seconds: float = 20
    """How long the mail server may take for one e-mail, in seconds."""
    mail_from: str = "Billplane <billing@localhost>"
    """Sender of e-mails where a tenant has not set its own."""
    sms_url: str = ""
    """Address that takes short messages as JSON {to, from, text}; empty = simulated."""
    sms_token: str = Field(default="", repr=False)
    """Bearer token for that address."""
    sms_from: str = "Billplane"
    """Sender of short messages."""
    locale: str = "en"
    """Locale of messages where neither the task nor the tenant names one."""
