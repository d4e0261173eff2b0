"""The tenant's events over a WebSocket, for as long as it takes and with nothing left out."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from billplane_cli.errors import ApiError

PATH: Final = "/v1/events/stream"
_DELAY_FIRST_SECONDS: Final = 0.2
_DELAY_MAX_SECONDS: Final = 10.0
_UNAUTHENTICATED: Final = 401
_PASSING_STATUSES: Final = frozenset({429, 500, 502, 503, 504})
_FRAME_BYTES_MAX: Final = 32 * 1024 * 1024


@dataclass(frozen=True)
class Frame:
    """An event and the cursor after it; without an event, how far the stream is."""

    cursor: str
    event: Mapping[str, Any] | None


class EventStream:
    """Reads frames, and comes again after each disconnect with the cursor that it had."""

    def __init__(
        self,
        url: str,
        *,
        credential: Callable[[], str | None],
        renew: Callable[[], bool],
        types: Sequence[str],
        livemode: bool,
        tell: Callable[[str], None],
    ) -> None:
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        self._address = f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}{PATH}"
        self._credential = credential
        self._renew = renew
        self._types = types
        self._livemode = livemode
        self._tell = tell
        self._delay = _DELAY_FIRST_SECONDS
        self._renewed = False
        self._was_connected = False

    def frames(self, after: str) -> Iterator[Frame]:
        """Yield frames without end, from after a cursor or from now on.

        Raises: ApiError when the platform refuses for good.
        """
        while True:
            try:
                with self._connected(after) as socket:
                    for text in socket:
                        frame = json.loads(text)
                        yield Frame(frame["cursor"], frame["event"])
                        after = frame["cursor"]
                        self._delay, self._renewed = _DELAY_FIRST_SECONDS, False
                        self._was_connected = True
                why = "the server ended the stream"
            except ConnectionClosed as closed:
                why = str(closed)
            except InvalidStatus as refused:
                why = self._refused(refused)
            except (OSError, TimeoutError, InvalidHandshake) as error:
                why = str(error) or type(error).__name__
            self._tell(f"Disconnected ({why}); connecting again.")
            time.sleep(self._delay)
            self._delay = min(self._delay * 2, _DELAY_MAX_SECONDS)

    def _connected(self, after: str) -> ClientConnection:
        query = {"types": ",".join(self._types), "after": after}
        given = {name: value for name, value in query.items() if value}
        headers = {"User-Agent": "billplane-cli"}
        token = self._credential()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self._livemode:
            headers["Billplane-Livemode"] = "true"
        return connect(
            f"{self._address}?{urlencode(given)}" if given else self._address,
            additional_headers=headers,
            max_size=_FRAME_BYTES_MAX,
            open_timeout=10,
            close_timeout=2,
            proxy=None,
        )

    def _refused(self, refused: InvalidStatus) -> str:
        """Return why, where coming again may help.

        Raises: ApiError where it does not.
        """
        response = refused.response
        status = response.status_code
        if status == _UNAUTHENTICATED and not self._renewed and self._renew():
            self._renewed, self._delay = True, 0.0
            return "the credential was renewed"
        if status in _PASSING_STATUSES:
            return f"the server answered {status}"
        try:
            problem = json.loads(response.body or b"")
        except ValueError:
            problem = {}
        problem = problem if isinstance(problem, dict) else {}
        if self._was_connected and not problem.get("reason"):
            # Not the platform's own word: something before it, while it is started anew.
            return f"something at the address answered {status}"
        raise ApiError(status, problem)
