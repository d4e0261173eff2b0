"""What billing_core keeps as long as its process lives."""

from billplane.billing_core.service import together
from billplane.billing_core.service.gathering import Gathering
from billplane.billing_core.service.wallets import WalletIndex
from billplane.chassis.runtime import Runtime


class State:
    """Wallets by what they were called, and who decides and completes at the same time."""

    def __init__(self, runtime: Runtime) -> None:
        self.wallets = WalletIndex()
        self.deciding = Gathering(runtime, together.decide_all)
        self.completing = Gathering(runtime, together.complete_all)

    async def close(self) -> None:
        """Finish what has begun."""
        await self.deciding.close()
        await self.completing.close()
