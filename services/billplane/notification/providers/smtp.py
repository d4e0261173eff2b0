"""E-mail over SMTP.

Source: RFC 5321, RFC 3207 (STARTTLS), RFC 4954 (AUTH).
"""

import asyncio
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Final

import aiosmtplib

from billplane.chassis.clock import Clock
from billplane.notification.providers.base import Letter, NotConfigured, NotSent
from billplane.notification.settings import NotificationSettings

_PERMANENT: Final = 500


class SmtpWay:
    """Sends each e-mail over a connection of its own."""

    def __init__(self, settings: NotificationSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._tls: ssl.SSLContext | None = None

    async def send(self, letter: Letter) -> str:
        """Hand an e-mail to the mail server.

        Raises: NotSent, NotConfigured.
        """
        settings = self._settings
        if not settings.smtp_host:
            raise NotConfigured(
                "no mail server is set: BILLPLANE_NOTIFICATION_SMTP_HOST; the e-mail is kept"
            )
        message = self._written(letter)
        try:
            _, answer = await aiosmtplib.send(
                message,
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_username or None,
                password=settings.smtp_password or None,
                use_tls=settings.smtp_security == "tls",
                start_tls=settings.smtp_security == "starttls",
                tls_context=await self._context(),
                timeout=settings.smtp_timeout_seconds,
            )
        except aiosmtplib.SMTPRecipientsRefused as refused:
            code = max((item.code for item in refused.recipients), default=_PERMANENT)
            raise NotSent(f"the recipient was refused: {code}", final=code >= _PERMANENT) from None
        except aiosmtplib.SMTPAuthenticationError as refused:
            # Wrong credentials are put right by a person, not by giving messages up at once.
            raise NotSent(f"the log-in was refused: {refused.code}", final=False) from None
        except aiosmtplib.SMTPResponseException as refused:
            said = f"the mail server answered {refused.code} {refused.message}"
            raise NotSent(said[:500], final=refused.code >= _PERMANENT) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            said = str(error) or type(error).__name__
            raise NotSent(f"the mail server cannot be reached: {said}"[:500], final=False) from None
        return answer[:500]

    async def close(self) -> None:
        """Nothing is held."""

    async def _context(self) -> ssl.SSLContext | None:
        if self._settings.smtp_security == "off":
            return None
        if self._tls is None:
            self._tls = await asyncio.to_thread(
                ssl.create_default_context, cafile=self._settings.smtp_ca_file or None
            )
        return self._tls

    def _written(self, letter: Letter) -> EmailMessage:
        name, address = parseaddr(self._settings.mail_from)
        message = EmailMessage()
        try:
            message["From"] = Address(letter.sender_name or name, addr_spec=address)
            message["To"] = letter.to
            message["Subject"] = letter.subject
            if letter.reply_to:
                message["Reply-To"] = letter.reply_to
        except (ValueError, IndexError) as error:
            raise NotSent(f"the e-mail cannot be written: {error}", final=True) from None
        message["Date"] = format_datetime(self._clock.now())
        # The same in each attempt, so that a second copy is known as one.
        message["Message-ID"] = f"<{letter.message_id}@{address.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        message.add_alternative(letter.html, subtype="html")
        for file in letter.attachments:
            main, _, sub = file.media_type.partition("/")
            message.add_attachment(
                file.content, maintype=main, subtype=sub, filename=file.file_name
            )
        return message
