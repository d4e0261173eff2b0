"""The page on which the payer of a test card says who they are, or does not."""

from html import escape
from typing import Annotated
from urllib.parse import urlencode, urlsplit, urlunsplit

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from billplane.chassis.rest import BillplaneRoute, Here
from billplane.payment.service import authentication

rest = APIRouter(route_class=BillplaneRoute, tags=["authentication"])
Token = Annotated[str, Path(min_length=8, max_length=64, pattern="^[A-Za-z0-9_-]+$")]
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>3-D Secure test page</title>
<main>
<h1>3-D Secure</h1>
<p>This is a test: a payment of {amount} asks who its payer is.</p>
<form method="post" action="{token}/complete"><button autofocus>Complete</button></form>
<form method="post" action="{token}/fail"><button>Fail</button></form>
</main>
</html>
"""
_DONE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>3-D Secure test page</title>
<p>The payment's state is now: {state}.</p>
</html>
"""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; form-action *; frame-ancestors *",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


@rest.get("/payments/authentications/{token}", response_class=HTMLResponse)
async def show_page(token: Token, runtime: Here) -> Response:
    """Show the page."""
    asked = await authentication.find(runtime, token)
    amount = f"{asked.amount_minor} {asked.currency_code} (minor units)"
    return HTMLResponse(_PAGE.format(amount=escape(amount), token=escape(token)), headers=_HEADERS)


@rest.post("/payments/authentications/{token}/complete", response_class=HTMLResponse)
async def complete(token: Token, runtime: Here) -> Response:
    """The payer proved who they are."""
    return await _end(token, runtime, passed=True)


@rest.post("/payments/authentications/{token}/fail", response_class=HTMLResponse)
async def fail(token: Token, runtime: Here) -> Response:
    """The payer did not."""
    return await _end(token, runtime, passed=False)


async def _end(token: str, runtime: Here, *, passed: bool) -> Response:
    done = await authentication.end(runtime, token, passed=passed)
    if not done.attempt.return_url:
        return HTMLResponse(_DONE.format(state=escape(done.intent.state)), headers=_HEADERS)
    parts = urlsplit(done.attempt.return_url)
    more = urlencode(
        {
            "payment_intent": done.intent.id,
            "payment_intent_client_secret": done.intent.client_secret,
            "source_type": "card",
        }
    )
    query = f"{parts.query}&{more}" if parts.query else more
    return RedirectResponse(urlunsplit(parts._replace(query=query)), 303, headers=_HEADERS)
