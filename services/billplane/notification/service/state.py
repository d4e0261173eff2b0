"""What lives as long as the process."""

from collections.abc import Awaitable, Callable

from billplane.chassis.auth import internal_seed
from billplane.chassis.events.wakeups import Wakeups
from billplane.chassis.runtime import Runtime
from billplane.chassis.sealing import Sealer
from billplane.notification.providers.base import Way
from billplane.notification.providers.sms import HttpSms, SimulatedSms
from billplane.notification.providers.smtp import SmtpWay
from billplane.notification.settings import NotificationSettings

_OVERTAKING_MAX = 100_000


class State:
    """Wake-ups, the sealer of secrets, and what waits for an event before it."""

    def __init__(self, runtime: Runtime) -> None:
        settings: NotificationSettings = runtime.settings  # type: ignore[assignment]
        self.wakeups = Wakeups(runtime.redis, "events")
        self.sealer = Sealer("webhook_secrets", internal_seed(runtime.settings))
        self.overtaking: dict[str, float] = {}
        self.ways: dict[str, Way] = {
            "email": SmtpWay(settings, runtime.clock),
            "sms": HttpSms(settings) if settings.sms_url else SimulatedSms(),
        }
        self.wakes: list[Callable[[], None]] = []
        self.closes: list[Callable[[], Awaitable[None]]] = []

    def told(self, topic: str) -> None:
        """Wake who reads a mode's events, and who delivers them."""
        if len(self.overtaking) > _OVERTAKING_MAX:
            self.overtaking.clear()
        self.wakeups.wake(topic)
        for wake in self.wakes:
            wake()

    async def close(self) -> None:
        """Finish what is under way, and stop listening."""
        for close in self.closes:
            await close()
        for way in self.ways.values():
            await way.close()
        await self.wakeups.close()
