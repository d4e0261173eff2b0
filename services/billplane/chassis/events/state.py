"""How a connection to a broker stands: as a metric, in readiness, in the log once per change."""

from collections.abc import Callable
from typing import Literal

from billplane.chassis import logging, metrics

_log = logging.get("events")

State = Literal["connected", "reconnecting", "open"]
STATES: tuple[State, ...] = ("connected", "reconnecting", "open")


class BrokerState:
    """One broker's state; `open` means that its circuit breaker holds publishing back."""

    def __init__(self, broker: str) -> None:
        self.broker = broker
        self.value: State = "reconnecting"
        self._wakes: list[Callable[[], None]] = []
        self._measure()

    def when_ready(self, wake: Callable[[], None]) -> None:
        """Have a function called on each change to connected."""
        self._wakes.append(wake)

    def become(self, value: State, reason: str = "") -> None:
        """Note the state that was found."""
        if value == self.value:
            return
        before, self.value = self.value, value
        self._measure()
        say = _log.info if value == "connected" else _log.warning
        say("broker_state_changed", broker=self.broker, before=before, state=value, reason=reason)
        if value == "connected":
            for wake in self._wakes:
                wake()

    def _measure(self) -> None:
        for state in STATES:
            metrics.BROKER_STATE.labels(self.broker, state).set(int(state == self.value))
