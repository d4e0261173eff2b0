"""A small platform on a real socket, and the command line run against it."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import typer.testing
from billplane_cli.__main__ import app


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None


@dataclass
class Reply:
    """What a route answers."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def problem(status: int, reason: str, detail: str = "it is so", **more: Any) -> Reply:
    body = {"type": f"urn:billplane:error:{reason}", "status": status, "reason": reason}
    return Reply(status, {**body, "detail": detail, "request_id": "req_1", **more})


Route = Callable[[Request], Reply]


class Platform:
    """Routes by method and path; what is not routed is answered with 404."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Route] = {}
        self.requests: list[Request] = []
        self.connections = 0
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                platform.connections += 1
                super().setup()

            def answer(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(
                    self.command,
                    parts.path,
                    {name: values[0] for name, values in parse_qs(parts.query).items()},
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                )
                platform.requests.append(request)
                route = platform.routes.get((request.method, request.path))
                reply = route(request) if route else problem(404, "NOT_FOUND")
                content = reply.body
                if not isinstance(content, bytes):
                    content = b"" if content is None else json.dumps(content).encode()
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = do_PATCH = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            # A client that goes away in the middle of an answer is what some tests are about.
            handle_error = lambda *_: None  # noqa: E731

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def on(self, method: str, path: str, reply: Route | Reply) -> None:
        self.routes[method, path] = reply if callable(reply) else lambda _request: reply

    def seen(self, method: str, path: str) -> list[Request]:
        return [one for one in self.requests if (one.method, one.path) == (method, path)]


@pytest.fixture
def platform() -> Iterator[Platform]:
    small = Platform()
    thread = threading.Thread(target=small.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield small
    small.server.shutdown()
    small.server.server_close()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep the command line away from this machine's own profiles and platform."""
    for name in ("BILLPLANE_URL", "BILLPLANE_API_KEY", "BILLPLANE_PROFILE", "BILLPLANE_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BILLPLANE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TERM", "dumb")
    return tmp_path


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture
def run(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line against the small platform."""
    monkeypatch.setenv("BILLPLANE_URL", platform.url)

    def run_it(*arguments: str, given: str | bytes = "") -> Result:
        result = typer.testing.CliRunner().invoke(app, list(arguments), input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    return run_it
