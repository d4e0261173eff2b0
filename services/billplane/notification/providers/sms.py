"""Short messages: simulated, or through any service that takes them as JSON."""

import json
from typing import Final

from billplane.chassis import logging
from billplane.chassis.http_client import FetchFailed, HttpClient, UrlRefused
from billplane.notification.providers.base import Letter, NotSent
from billplane.notification.settings import NotificationSettings

_log = logging.get("notification")
_LATER: Final = frozenset({408, 425, 429})


class SimulatedSms:
    """Sends nothing; the log of messages shows what would have gone out.

    A number that ends in 0000 is refused for good, one that ends in 1111 for now.
    """

    async def send(self, letter: Letter) -> str:
        """Pretend.

        Raises: NotSent.
        """
        if letter.to.endswith("0000"):
            raise NotSent("simulated: the number is not in use", final=True)
        if letter.to.endswith("1111"):
            raise NotSent("simulated: the service is away", final=False)
        _log.info("sms_simulated", message_id=letter.message_id)
        return "simulated"

    async def close(self) -> None:
        """Nothing is held."""


class HttpSms:
    """Posts {to, from, text, id} to an address with a bearer token."""

    def __init__(self, settings: NotificationSettings) -> None:
        self._settings = settings
        self._http = HttpClient(settings.outgoing_allow_list)

    async def send(self, letter: Letter) -> str:
        """Hand a short message over.

        Raises: NotSent.
        """
        settings = self._settings
        body = {"to": letter.to, "from": settings.sms_from, "text": letter.text}
        headers = {
            "Content-Type": "application/json",
            # The same in each attempt, so that a service that knows keys sends it once.
            "Idempotency-Key": letter.message_id,
        }
        if settings.sms_token:
            headers["Authorization"] = f"Bearer {settings.sms_token}"
        try:
            answer = await self._http.fetch(
                settings.sms_url,
                method="POST",
                headers=headers,
                data=json.dumps(body, ensure_ascii=False).encode(),
                answer_bytes_kept=16_384,
            )
        except UrlRefused as refused:
            raise NotSent(refused.detail, final=True) from None
        except FetchFailed as failed:
            raise NotSent(failed.detail, final=False) from None
        said = answer.body[:200].decode("utf-8", "replace").replace("\0", "")
        if 200 <= answer.status < 300:
            return said
        final = 400 <= answer.status < 500 and answer.status not in _LATER
        raise NotSent(f"the SMS service answered {answer.status}: {said}", final=final)

    async def close(self) -> None:
        """Close connections."""
        await self._http.close()
