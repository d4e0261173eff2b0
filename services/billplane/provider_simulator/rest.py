"""The provider JSON API, and the switches of the simulator beside it."""

import asyncio
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from billplane.provider_simulator import schemas
from billplane.provider_simulator.domain.bills import Bill
from billplane.provider_simulator.domain.customers import CODE, Account, Customer, customer
from billplane.provider_simulator.errors import Refused, RequestInvalid, TokenInvalid
from billplane.provider_simulator.service import Fault, Simulation, Verdict, well_known

PAGE_DEFAULT, PAGE_MAX = 12, 100
BODY_BYTES_MAX = 65_536
_bearer = HTTPBearer(auto_error=False, description="The token of POST /v1/session.")
_ANSWERS: dict[int | str, dict[str, Any]] = {
    422: {"model": schemas.Error, "description": "The request is not as described here"},
    429: {"model": schemas.Error, "description": "Wait for the seconds of Retry-After"},
    503: {"model": schemas.Error, "description": "The utility is out of order"},
}
_IN_SESSION: dict[int | str, dict[str, Any]] = {
    401: {"model": schemas.Error, "description": "No session, or it has ended: log in again"}
}
_LOG_IN: dict[int | str, dict[str, Any]] = {
    401: {"model": schemas.Error, "description": "No such customer, or another password or code"},
    403: {"model": schemas.LogInRefused, "description": "A code is asked for, or locked out"},
}
_MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": schemas.Error, "description": "No such account of this customer"}
}

api = APIRouter(responses=_ANSWERS)
switches = APIRouter(prefix="/simulator", include_in_schema=False)


def _simulation(request: Request) -> Simulation:
    found: Simulation = request.app.state.simulation
    return found


Here = Annotated[Simulation, Depends(_simulation)]


def _customer(
    simulation: Here,
    credential: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Customer:
    if credential is None:
        raise TokenInvalid("send the session's token as `Authorization: Bearer …`")
    return simulation.customer(credential.credentials)


Caller = Annotated[Customer, Depends(_customer)]


@api.post("/v1/session", responses=_LOG_IN)
async def log_in(body: schemas.Credentials, simulation: Here) -> schemas.Session:
    """Begin a session for a customer."""
    await asyncio.sleep(simulation.delay_seconds(body.username))
    token, seconds = simulation.log_in(body.username, body.password)
    return schemas.Session(token=token, expires_in=seconds)


@api.post("/v1/session/mfa", responses=_LOG_IN)
async def answer_challenge(body: schemas.SecondFactor, simulation: Here) -> schemas.Session:
    """Begin the session that a code was asked for."""
    token, seconds = simulation.answer_challenge(body.challenge, body.code)
    return schemas.Session(token=token, expires_in=seconds)


@api.get("/v1/accounts", responses=_IN_SESSION)
async def list_accounts(simulation: Here, caller: Caller) -> schemas.AccountList:
    """List the customer's accounts."""
    found = simulation.accounts(caller)
    return schemas.AccountList(accounts=[_account(simulation, item) for item in found])


@api.get("/v1/accounts/{account_id}/bills", responses=_IN_SESSION | _MISSING)
async def list_bills(
    account_id: str,
    simulation: Here,
    caller: Caller,
    since: Annotated[date | None, Query(description="First statement date.")] = None,
    cursor: Annotated[str, Query(max_length=200, description="`next_cursor` of a page.")] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
) -> schemas.BillList:
    """List an account's bills, oldest first."""
    found, following = simulation.bills(caller, account_id, since, cursor, limit)
    return schemas.BillList(
        bills=[_bill(account_id, item, simulation) for item in found], next_cursor=following
    )


@api.get("/health")
async def health() -> schemas.Health:
    """Tell that the API answers; no session is needed."""
    return schemas.Health(status="ok")


@switches.get("/faults")
async def list_faults(simulation: Here) -> schemas.FaultList:
    """Tell what goes wrong at present."""
    names = list(schemas.FaultBody.model_fields)
    found = [{name: getattr(fault, name) for name in names} for fault in simulation.faults]
    return schemas.FaultList.model_validate({"faults": found})


@switches.post("/faults", status_code=201)
async def add_fault(body: schemas.FaultBody, simulation: Here) -> schemas.FaultList:
    """Make something go wrong."""
    simulation.faults.append(Fault(**body.model_dump()))
    return await list_faults(simulation)


@switches.delete("/faults", status_code=204)
async def clear_faults(simulation: Here) -> None:
    """Make everything go well again."""
    simulation.faults.clear()


@switches.get("/customers")
async def known_customers(simulation: Here) -> schemas.KnownCustomers:
    """Tell whom to log in as."""
    return schemas.KnownCustomers(
        well_known=[_known(item) for item in well_known(simulation.utility)],
        first=_known(customer(1)),
        last=_known(customer(simulation.utility.accounts)),
        code=CODE,
    )


def _known(found: Customer) -> schemas.KnownCustomer:
    return schemas.KnownCustomer(username=found.username, password=found.password)


def _account(simulation: Simulation, found: Account) -> schemas.Account:
    return schemas.Account(
        id=found.id,
        number=found.number,
        holder=found.holder,
        address=found.address,
        category=simulation.utility.category,
        meter_id=found.meter_id,
        unit=found.unit,
        tariff=found.tariff,
        currency=simulation.utility.currency,
        time_zone=simulation.settings.time_zone,
        opened_on=found.opened_on,
    )


def _bill(account_id: str, found: Bill, simulation: Simulation) -> schemas.Bill:
    return schemas.Bill(
        id=found.issue.id,
        account_id=account_id,
        statement_date=found.issue.statement_on,
        period_start=found.issue.starts_on,
        period_end=found.issue.ends_on,
        due_date=found.due_on,
        currency=simulation.utility.currency,
        total=f"{found.total.exact:f}",
        usage=f"{found.usage:f}",
        unit=found.unit,
        lines=[
            schemas.Line(
                kind=line.kind,
                description=line.description,
                quantity=None if line.quantity is None else f"{line.quantity:f}",
                unit=line.unit,
                amount=f"{line.amount.exact:f}",
            )
            for line in found.lines
        ],
        tariff=found.tariff,
        corrects=found.issue.corrects,
        document_url=None,
    )


class Faulty:
    """Stands before the API and lets go wrong what shall; the pod's own probes pass untouched."""

    def __init__(self, app: Any, simulation: Simulation) -> None:
        self._app = app
        self._simulation = simulation

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or spoil it."""
        if scope["type"] != "http" or not (
            scope["path"] == "/health" or scope["path"].startswith("/v1")
        ):
            await self._app(scope, _limited(receive), send)
            return
        headers = dict(scope["headers"])
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        verdict = self._simulation.admit(scope["path"], token if scheme == "Bearer" else "")
        await asyncio.sleep(verdict.delay_seconds)
        if verdict.refusal is not None:
            await refusal_response(verdict.refusal)(scope, receive, send)
            return
        await self._app(scope, _limited(receive), _spoiled(send, verdict, scope["path"]))


def refusal_response(error: Refused) -> JSONResponse:
    """Tell what is refused."""
    return JSONResponse(error.body(), error.status, error.headers)


def _limited(receive: Any) -> Any:
    left = BODY_BYTES_MAX

    async def read() -> Any:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise RequestInvalid(f"the body may have at most {BODY_BYTES_MAX} bytes")
        return message

    return read


def _spoiled(send: Any, verdict: Verdict, path: str) -> Any:
    """Cut documents in half where they shall be malformed; log-in and health stay whole."""
    if not verdict.malformed or not path.startswith("/v1/accounts"):
        return send

    async def spoil(message: Any) -> None:
        if message["type"] == "http.response.start":
            kept = [item for item in message["headers"] if item[0] != b"content-length"]
            message = {**message, "headers": kept}
        elif message.get("body"):
            message = {**message, "body": message["body"][: len(message["body"]) // 2]}
        await send(message)

    return spoil
