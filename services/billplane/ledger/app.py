"""The wiring of ledger."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact
from billplane.chassis.runtime import Runtime
from billplane.ledger import repository
from billplane.ledger.consumers import consumers
from billplane.ledger.ingest import routes
from billplane.ledger.invariants import (
    balances_equal_entries,
    chain_is_intact,
    holds_equal_entries,
    transactions_balance,
)
from billplane.ledger.jobs import jobs
from billplane.ledger.rest import rest
from billplane.ledger.rpc import rpc
from billplane.ledger.service.gathering import Gathering
from billplane.ledger.service.opening import AccountIndex
from billplane.ledger.service.writer import Writer
from billplane.ledger.settings import LedgerSettings
from billplane.protos.ledger.v1.events_pb2 import TransactionsPosted


class State:
    """What lives as long as the process."""

    def __init__(self, runtime: Runtime) -> None:
        self.accounts = AccountIndex()
        self.balances = Gathering(repository.balances)
        self.transactions = Gathering(repository.transactions)
        self.writer = Writer(runtime)

    async def close(self) -> None:
        """Finish what waits to be written."""
        await self.writer.close()


async def start_ledger(runtime: Runtime) -> State:
    """Make the writer."""
    return State(runtime)


app = ServiceApp(
    name="ledger",
    title="Ledger",
    description="Money in double entry: accounts, balanced transactions, holds, reversals.",
    settings=LedgerSettings,
    rest=rest,
    rpc=[rpc],
    routes=[Route("/ledger"), Route("/v1/ledger")],
    messages=[fact(TransactionsPosted, "books")],
    consumers=consumers,
    jobs=jobs,
    invariants=[
        transactions_balance,
        balances_equal_entries,
        holds_equal_entries,
        chain_is_intact,
    ],
    kept_rest_ports=[8083],
    kept_grpc_ports=[50052],
    asgi=routes,
    start=start_ledger,
    finders=["due_holds"],
    batch_writers=["apply_batch", "entries_balance"],
)
