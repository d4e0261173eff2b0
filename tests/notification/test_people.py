"""E-mails over a real mail server, short messages, wordings; nothing is lost silently."""

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from itertools import pairwise

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from billplane.chassis import ids
from billplane.chassis.events.envelope import Metadata, encode
from billplane.notification.domain import send_again_at
from billplane.protos.notification.v1.events_pb2 import NotifyTask
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.asyncio import Redis

from tests.chassis.waiting import eventually
from tests.fixtures.platform import running
from tests.fixtures.ports import free_port
from tests.notification.hooks import hook
from tests.notification.test_webhooks import Developer

SERVICES = ("identity", "notification")
USER, PASSWORD = "mailer", "a-password-of-tests"


class Mailbox:
    """What a mail server took; `refuse` answers instead."""

    def __init__(self):
        self.letters = []
        self.refuse = ""

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's word
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's word
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"


def _certificate(folder):
    """Make a certificate of 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "mail.pem", folder / "mail.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


@asynccontextmanager
async def mail_server(folder):
    """Run a mail server that wants STARTTLS and a log-in; give its mailbox and settings."""
    certificate, private = _certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, private)

    def log_in(_server, _session, _envelope, _mechanism, data):
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good)

    mailbox = Mailbox()
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=tls,
        require_starttls=True,
        authenticator=log_in,
        auth_required=True,
    )
    controller.start()
    try:
        yield (
            mailbox,
            {
                "BILLPLANE_NOTIFICATION_SMTP_HOST": "localhost",
                "BILLPLANE_NOTIFICATION_SMTP_PORT": str(controller.port),
                "BILLPLANE_NOTIFICATION_SMTP_CA_FILE": str(certificate),
                "BILLPLANE_NOTIFICATION_SMTP_USERNAME": USER,
                "BILLPLANE_NOTIFICATION_SMTP_PASSWORD": PASSWORD,
                "BILLPLANE_NOTIFICATION_MAIL_FROM": "Billing <billing@shop.example>",
            },
        )
    finally:
        controller.stop()


async def ask(stores, tenant, *, livemode=False, **fields):
    """Send a NotifyTask as its producer would."""
    metadata = Metadata(
        event_id=ids.new("evt"),
        event_type="notification.notify",
        event_version=1,
        source="billplane/payment",
        tenant_id=tenant,
        livemode=livemode,
        occurred_at="2026-01-01T00:00:00Z",
        correlation_id="req_1",
        causation_id="req_1",
        traceparent="",
        aggregate_type="task",
        aggregate_id="a",
        aggregate_version=1,
    )
    given = {
        "channel": "email",
        "to": "ada@example.com",
        "template": "payment_receipt",
        "variables": {"amount": "20.00 EUR", "number": "2026-1", "customer_name": "Ada"},
    }
    envelope = encode(metadata, NotifyTask(**{**given, **fields}))
    async with Redis.from_url(stores.redis_url) as redis:
        await redis.xadd("notification.notify", {"envelope": envelope})


async def messages(developer, state, number=1):
    """Wait for so many messages of a state."""

    async def found():
        page = await developer.send("GET", f"/v1/notifications?state={state}")
        return page["data"] if len(page["data"]) >= number else None

    return await eventually(found)


async def test_an_e_mail_goes_out_by_starttls_and_a_log_in_once_a_key(make_stores, tmp_path):
    stores = await make_stores()
    async with mail_server(tmp_path) as (mailbox, environ):
        async with running(stores, SERVICES, **environ) as platform:
            developer = Developer(platform, "ten_mail", livemode=True)
            look = {"sender_name": "Ada's Shop", "reply_to": "help@shop.example", "locale": "de"}
            await developer.send("PUT", "/v1/notification_settings", look)
            for _ in range(3):
                await ask(stores, "ten_mail", livemode=True, dedupe_key="receipt-1")
            await ask(stores, "ten_mail", livemode=True, dedupe_key="receipt-2", locale="en-GB")
            sent = await messages(developer, "sent", 2)
            assert len(sent) == len(mailbox.letters) == 2
    german, english = sorted(mailbox.letters, key=lambda letter: letter["Subject"])
    assert german["Subject"] == "Beleg über Ihre Zahlung von 20.00 EUR"
    assert english["Subject"] == "Receipt for your payment of 20.00 EUR"
    assert german["From"] == "Ada's Shop <billing@shop.example>"
    assert (german["Reply-To"], german["To"]) == ("help@shop.example", "ada@example.com")
    text = german.get_body(("plain",)).get_content()
    html = german.get_body(("html",)).get_content()
    assert "für die Rechnung 2026-1" in text
    assert "<p>Guten Tag Ada,</p>" in html
    assert {letter["Message-ID"] for letter in mailbox.letters} == {
        f"<{row['id']}@shop.example>" for row in sent
    }


async def test_what_is_refused_for_now_is_tried_again_and_for_good_is_given_up(
    make_stores, tmp_path
):
    stores = await make_stores()
    async with mail_server(tmp_path) as (mailbox, environ):
        async with running(stores, SERVICES, **environ) as platform:
            developer = Developer(platform, "ten_mail_refused")
            mailbox.refuse = "451 busy"
            await ask(stores, "ten_mail_refused", dedupe_key="a")

            async def tried():
                rows = (await developer.send("GET", "/v1/notifications"))["data"]
                return rows if rows and rows[0]["attempts"] else None

            (row,) = await eventually(tried)
            assert (row["state"], row["attempts"]) == ("queued", 1)
            assert row["next_attempt_at"] > row["created_at"]
            mailbox.refuse = "550 no such mailbox"
            await developer.execute("UPDATE notification.messages SET due_at = now()")
            (row,) = await messages(developer, "failed")
            assert (row["attempts"], "550" in row["detail"]) == (2, True)
            mailbox.refuse = ""
            again = await developer.send("POST", f"/v1/notifications/{row['id']}:resend")
            assert (again["state"], again["attempts"]) == ("queued", 0)
            (row,) = await messages(developer, "sent")
            # A trial must not be taken for the real thing.
            assert mailbox.letters[0]["Subject"].startswith("[Test] ")
            refused = await developer.send(
                "POST", f"/v1/notifications/{row['id']}:resend", expect=409
            )
            assert refused["reason"] == "NOTIFICATION_NOT_FAILED"


async def test_without_a_mail_server_it_is_kept_and_says_so(platform):
    developer = Developer(platform, "ten_mail_none")
    await ask(platform.stores, "ten_mail_none")
    (row,) = await messages(developer, "not_configured")
    assert "BILLPLANE_NOTIFICATION_SMTP_HOST" in row["detail"]
    assert row["subject"].endswith("Receipt for your payment of 20.00 EUR")


@pytest.mark.parametrize("certificate", ["", "/etc/hostname"])
async def test_a_mail_server_that_cannot_be_trusted_gets_nothing(
    make_stores, tmp_path, certificate
):
    stores = await make_stores()
    async with mail_server(tmp_path) as (mailbox, environ):
        environ["BILLPLANE_NOTIFICATION_SMTP_CA_FILE"] = certificate
        async with running(stores, SERVICES, **environ) as platform:
            developer = Developer(platform, "ten_mail_untrusted")
            await ask(stores, "ten_mail_untrusted")

            async def tried():
                rows = (await developer.send("GET", "/v1/notifications"))["data"]
                return rows if rows and rows[0]["attempts"] else None

            (row,) = await eventually(tried)
            assert row["state"] == "queued"
            assert mailbox.letters == []


async def test_a_short_message_goes_by_http_with_its_key(make_stores):
    stores = await make_stores()
    async with hook() as service:

        async def answer(_heard):
            return web.json_response({"id": "sms_1"}, status=202 if len(service.heard) > 1 else 429)

        service.answer = answer
        environ = {
            "BILLPLANE_NOTIFICATION_SMS_URL": service.url + "/send",
            "BILLPLANE_NOTIFICATION_SMS_TOKEN": "secret-token",
        }
        async with running(stores, SERVICES, **environ) as platform:
            developer = Developer(platform, "ten_sms")
            await ask(stores, "ten_sms", channel="sms", to="+49 (30) 123456", dedupe_key="s")
            await service.count(1)
            await asyncio.sleep(0.3)
            await developer.execute(
                "UPDATE notification.messages SET due_at = now(), claimed_by = NULL"
            )
            (row,) = await messages(developer, "sent")
    assert row["recipient"] == "+4930123456"
    first, second = service.heard
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == row["id"]
    assert first.headers["Authorization"] == "Bearer secret-token"
    assert json.loads(first.body)["to"] == "+4930123456"
    assert "20.00 EUR" in json.loads(first.body)["text"]


async def test_a_tenants_own_wording_comes_before_ours(platform):
    developer = Developer(platform, "ten_wording")
    path = "/v1/notification_templates/payment_receipt"
    ours = await developer.send("GET", f"{path}/en")
    assert (ours["own"], "{{ amount }}" in ours["subject"]) == (False, True)
    mine = {"subject": "Merci: {{ amount }}", "text": "Cher {{ customer_name | upper }}"}
    made = await developer.send("PUT", f"{path}/fr", mine)
    assert (made["own"], made["html"]) == (True, "")
    assert (await developer.send("GET", "/v1/notification_templates"))["data"] == [made]
    await ask(platform.stores, "ten_wording", locale="fr-CA")
    (row,) = await messages(developer, "not_configured")
    assert row["subject"] == "[Test] Merci: 20.00 EUR"
    await developer.send("DELETE", f"{path}/fr", expect=204)
    await developer.send("GET", f"{path}/fr", expect=404)
    other = Developer(platform, "ten_wording_other")
    assert (await other.send("GET", "/v1/notification_templates"))["data"] == []


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(10) %}x{% endfor %}",
        "{{ amount.__class__ }}",
        "{{ 'x' * 1000000000 }}",
        "{{ amount | center(100000000) }}",
        "{% include 'en/alert.txt' %}",
        "{{ cycler('a') }}",
        "{{ amount",
        "{% set x = 1 %}",
    ],
)
async def test_a_template_that_does_more_than_it_may_is_refused(platform, text):
    developer = Developer(platform, "ten_wording_bad")
    path = "/v1/notification_templates/payment_receipt/en"
    refused = await developer.send("PUT", path, {"subject": "x", "text": text}, 422)
    assert (refused["reason"], refused["field"]) == ("TEMPLATE_INVALID", "/text")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"channel": "pigeon"}, "NOTIFICATION_INVALID"),
        ({"to": "nobody"}, "NOTIFICATION_INVALID"),
        ({"to": "a@example.com\r\nBcc: b@example.com"}, "NOTIFICATION_INVALID"),
        ({"channel": "sms", "to": "0301"}, "NOTIFICATION_INVALID"),
    ],
)
async def test_a_task_that_cannot_be_done_becomes_a_dead_letter(
    make_stores, monkeypatch, fields, reason
):
    monkeypatch.setattr("billplane.chassis.events.transport.RETRY_SECONDS", 0.05)
    monkeypatch.setattr("billplane.chassis.events.redis_streams.BLOCK_MILLISECONDS", 50)
    stores = await make_stores()
    async with running(stores, SERVICES) as platform:
        developer = Developer(platform, "ten_mail_bad")
        await ask(stores, "ten_mail_bad", **fields)

        async def dead():
            return await developer.execute("SELECT reason FROM notification.dead_letters")

        (letter,) = await eventually(dead)
        assert letter["reason"] == reason
        assert (await developer.send("GET", "/v1/notifications"))["data"] == []


@pytest.mark.parametrize("template", ["no_such", "../../etc/passwd"])
async def test_an_unknown_template_fails_with_its_reason(platform, template):
    tenant = f"ten_mail_{len(template)}"
    developer = Developer(platform, tenant)
    await ask(platform.stores, tenant, template=template, locale="../en")
    (row,) = await messages(developer, "failed")
    assert "there is no template" in row["detail"]


def test_a_message_is_tried_for_most_of_a_day():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    waits = [send_again_at(number, now, 500) for number in range(1, 9)]
    assert waits[-1] is None
    assert all(later > earlier for earlier, later in pairwise(waits[:-1]))
    assert sum((wait - now for wait in waits[:-1]), timedelta()) > timedelta(hours=18)
