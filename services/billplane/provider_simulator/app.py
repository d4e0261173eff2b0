"""The wiring of provider_simulator: an app that stands alone, with nothing of the chassis' host."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from billplane.chassis import logging
from billplane.chassis.clock import Clock, SystemClock
from billplane.chassis.settings import SettingsError
from billplane.provider_simulator.errors import NotFound, Refused, RequestInvalid
from billplane.provider_simulator.rest import Faulty, api, refusal_response, switches
from billplane.provider_simulator.service import Simulation
from billplane.provider_simulator.settings import ProviderSimulatorSettings

NAME = "provider_simulator"
REST_PORT = 8080
STOP_SECONDS = 5
_log = logging.get(NAME)


def create(settings: ProviderSimulatorSettings, clock: Clock) -> FastAPI:
    """Make the utility."""
    app = FastAPI(
        title="Provider JSON API",
        description=(
            "What a utility answers so that Billplane can read its customers' bills."
            " Money and quantities are decimal strings; dates are the utility's own."
        ),
        version="v1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    simulation = Simulation(settings, clock)
    app.state.simulation = simulation
    app.include_router(api)
    app.include_router(switches)
    app.add_middleware(Faulty, simulation=simulation)
    _add_error_handlers(app)

    @app.get("/health/live", include_in_schema=False)
    @app.get("/health/ready", include_in_schema=False)
    async def alive() -> dict[str, str]:
        """Tell that the process serves, whatever goes wrong on purpose."""
        return {"status": "ok"}

    return app


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(_request: Request, error: Refused) -> Response:
        return refusal_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return refusal_response(RequestInvalid(f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, Refused):
            return refusal_response(error.__cause__)
        found: Refused = NotFound(f"{request.method} {request.url.path}: {error.detail}")
        found.status = error.status_code
        return refusal_response(found)


class _Server(uvicorn.Server):
    """Ends by itself on a signal, with exit code 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop once on SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


async def serve(settings: ProviderSimulatorSettings) -> int:
    """Run the utility until a signal; return the exit code.

    Raises: SettingsError for a port that is taken.
    """
    config = uvicorn.Config(
        create(settings, SystemClock()),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_keep_alive=75,
    )
    listener = _listen(settings)
    _log.info(
        "simulator_ready",
        port=listener.getsockname()[1],
        seed=settings.seed,
        accounts=settings.accounts,
        category=settings.category,
    )
    await _Server(config).serve(sockets=[listener])
    return 0


def _listen(settings: ProviderSimulatorSettings) -> socket.socket:
    host, port = settings.bind_host, REST_PORT + settings.port_offset
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise SettingsError(
            f"port {port} on {host} cannot be opened ({error}): set BILLPLANE_PORT_OFFSET"
        ) from None
    return listener


def run(environ: dict[str, Any] | None = None) -> int:
    """Run the utility; the entry of `python -m billplane run provider_simulator`."""
    settings = ProviderSimulatorSettings.load(NAME, environ)
    logging.configure(settings.log_level, settings.log_format)
    return uvloop.run(serve(settings))
