"""Payers of test cards who are asked who they are, on a page whose address is the secret."""

from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.jobs import Worker
from billplane.chassis.runtime import Runtime
from billplane.payment import repository
from billplane.payment.errors import AuthenticationNotFound
from billplane.payment.models import AttemptRow
from billplane.payment.service import attempts
from billplane.payment.service.outcomes import Done


async def find(runtime: Runtime, token: str) -> AttemptRow:
    """Return the attempt whose payer is asked.

    Raises: AuthenticationNotFound.
    """
    call, attempt_id = await _call(runtime, token)
    async with call, call.reading() as tx:
        row = await repository.attempt(tx, attempt_id)
    if row is None or row.state != "requires_action":
        raise AuthenticationNotFound("the authentication is over")
    return row


async def end(runtime: Runtime, token: str, *, passed: bool) -> Done:
    """Go on with the attempt.

    Raises: AuthenticationNotFound.
    """
    call, attempt_id = await _call(runtime, token)
    async with call:
        return await attempts.authenticate(call, token, attempt_id, passed=passed)


async def _call(runtime: Runtime, token: str) -> tuple[Call, str]:
    rows = await Worker(runtime).find("owner_of_challenge", wanted=token)
    if not rows:
        raise AuthenticationNotFound("nobody is asked at this address")
    principal = service_principal(runtime.name, rows[0].tenant_id, rows[0].livemode)
    return Call(runtime, principal), str(rows[0].id)
