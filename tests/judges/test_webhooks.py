"""What our webhooks send, judged by the libraries that their receivers use."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import standardwebhooks
import stripe

from tests.judges.conftest import Judged

SECONDS = 30


class Endpoint:
    """A program that takes webhooks."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.came = threading.Condition()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with endpoint.came:
                    endpoint.heard.append((dict(self.headers.items()), body))
                    endpoint.came.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhook"

    def wait(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        """Wait until so many came."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.heard) >= count, SECONDS), self.heard
        return self.heard


@contextmanager
def listening() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.server.shutdown()
        endpoint.server.server_close()


@pytest.fixture
def api(platform: tuple[Judged, dict[str, str]]) -> Judged:
    """Give the platform as it starts."""
    return platform[0]


def test_stripes_sdk_makes_the_endpoint_and_both_libraries_verify_what_arrives(api: Judged) -> None:
    client = stripe.StripeClient(api.key, base_addresses={"api": api.url})
    with listening() as endpoint:
        made = client.v1.webhook_endpoints.create(
            {"url": endpoint.url, "enabled_events": ["customer.created"], "metadata": {"a": "7"}}
        )
        assert made.secret
        rotated = api.call("POST", f"/v1/webhook_endpoints/{made.id}/rotate_secret", {})
        customer = api.call("POST", "/v1/customers", {"name": "Ada"})
        ((headers, body),) = endpoint.wait(1)
        for secret in (made.secret, rotated["secret"]):
            event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret)
            assert event.type == "customer.created"
            assert event.data.object["id"] == customer["id"]
            lowered = {name.lower(): value for name, value in headers.items()}
            verified = standardwebhooks.Webhook(secret).verify(body, lowered)
            assert verified == json.loads(body)
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                standardwebhooks.Webhook(secret).verify(body + b" ", lowered)
            with pytest.raises(stripe.SignatureVerificationError):
                stripe.Webhook.construct_event(body + b" ", headers["Stripe-Signature"], secret)
        again = client.v1.events.retrieve(event.id)
        assert again.data.object["id"] == customer["id"]
        listed = [item.id for item in client.v1.events.list({"limit": 1}).auto_paging_iter()]
        assert event.id in listed
        changed = client.v1.webhook_endpoints.update(
            made.id, {"enabled_events": ["*"], "disabled": True, "metadata": {"a": "", "b": "1"}}
        )
        assert (changed.status, changed.metadata.to_dict()) == ("disabled", {"b": "1"})
        assert [item.id for item in client.v1.webhook_endpoints.list().auto_paging_iter()] == [
            made.id
        ]
        assert client.v1.webhook_endpoints.delete(made.id).deleted
        with pytest.raises(stripe.InvalidRequestError) as gone:
            client.v1.webhook_endpoints.retrieve(made.id)
        assert gone.value.http_status == 404
