"""What lives as long as the process: the processors, and a bell for collections."""

import asyncio

from billplane.chassis.database import ReadTransaction
from billplane.chassis.runtime import Runtime
from billplane.payment.errors import ProcessorUnknown
from billplane.payment.providers.base import Processor
from billplane.payment.providers.simulated import SimulatedProcessor
from billplane.payment.settings import PaymentSettings


class State:
    """The processors of a running service."""

    def __init__(self, runtime: Runtime) -> None:
        settings: PaymentSettings = runtime.settings  # type: ignore[assignment]
        self.settings = settings
        self.wake = asyncio.Event()
        simulated = SimulatedProcessor(
            runtime.clock, settings.simulated_webhook_secret, settings.simulated_delay_seconds
        )
        self.processors: dict[str, Processor] = {simulated.name: simulated}
        if settings.processor == "stripe" or settings.stripe_api_key:
            # Its SDK takes 30 MiB, which nobody pays for who does not use it.
            from billplane.payment.providers.stripe import StripeProcessor  # noqa: PLC0415

            stripe = StripeProcessor(runtime.clock, settings)
            self.processors[stripe.name] = stripe

    @property
    def processor(self) -> Processor:
        """The processor that new payments go to."""
        return self.processors[self.settings.processor]

    def named(self, name: str) -> Processor:
        """Return the processor that a payment went to.

        Raises: ProcessorUnknown.
        """
        found = self.processors.get(name)
        if found is None:
            raise ProcessorUnknown(f"there is no processor {name!r} here")
        return found

    async def close(self) -> None:
        """Close the processors' connections."""
        for processor in self.processors.values():
            await processor.close()


def state_of(runtime: Runtime) -> State:
    """Return the state of a running service."""
    state: State = runtime.state
    return state


def settings_of(tx: ReadTransaction) -> PaymentSettings:
    """Return the settings."""
    return state_of(tx.runtime).settings
