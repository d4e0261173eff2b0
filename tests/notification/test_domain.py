"""Rules of notification, without anything that runs."""

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta

import pytest
import stripe
from billplane.notification import domain
from billplane.notification.errors import TemplateInvalid
from billplane.notification.service import templates
from billplane.notification.service.endpoints import make_secret
from billplane.notification.service.facts import EVENT_TYPES, SOURCES
from billplane.notification.service.templates import Wording
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_type_falls_under_itself_and_every_wider_pattern():
    assert domain.patterns("customer.subscription.created") == [
        "*",
        "customer.*",
        "customer.subscription.*",
        "customer.subscription.created",
    ]


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [
        ([], True),
        (["*"], True),
        (["invoice.*"], True),
        (["invoice.paid"], True),
        (["invoice"], False),
        (["invoice.pai*"], False),
        (["payment_intent.*", "invoice.voided"], False),
    ],
)
def test_who_wants_a_type_is_told_by_its_patterns(wanted, heard):
    assert domain.matches("invoice.paid", wanted) is heard


@given(st.binary(max_size=300), st.integers(1, 2**31))
def test_both_families_of_libraries_verify_what_was_signed_with_each_live_secret(payload, seconds):
    secrets = [make_secret(), make_secret()]
    signed = domain.sign(payload, "evt_1", seconds, secrets)
    stamp, *given_ = signed.stripe.split(",")
    assert stamp == f"t={seconds}"
    for secret, one, other in zip(secrets, given_, signed.standard.split(), strict=True):
        plain = b"%d." % seconds + payload
        assert one == "v1=" + hmac.new(secret.encode(), plain, hashlib.sha256).hexdigest()
        key = base64.b64decode(secret.removeprefix("whsec_"))
        named = f"evt_1.{seconds}.".encode() + payload
        digest = hmac.new(key, named, hashlib.sha256).digest()
        assert other == "v1," + base64.b64encode(digest).decode()


def test_stripes_own_library_takes_either_secret_and_no_third():
    old, new, third = make_secret(), make_secret(), make_secret()
    signed = domain.sign(b"{}", "evt_1", int(time.time()), [new, old])
    for secret in (old, new):
        assert stripe.WebhookSignature.verify_header("{}", signed.stripe, secret, 300)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header("{}", signed.stripe, third, 300)


def test_a_secret_is_made_of_letters_and_digits():
    found = {make_secret() for _ in range(50)}
    assert len(found) == 50
    for secret in found:
        assert secret.removeprefix("whsec_").isalnum()
        assert len(base64.b64decode(secret.removeprefix("whsec_"))) == domain.SECRET_BYTES


@given(st.integers(0, 999))
def test_a_delivery_is_tried_for_three_days_ever_less_often(chance):
    created, now, attempts = NOW, NOW, 0
    waits = []
    while True:
        attempts += 1
        again = domain.retry_at(attempts, created, now, chance)
        if again is None:
            break
        waits.append(again - now)
        now = again
    assert now - created == domain.GIVE_UP_AFTER
    assert waits[:-1] == sorted(waits[:-1])
    assert 12 <= attempts <= 18
    assert timedelta(seconds=4) < waits[0] < timedelta(seconds=6)


def test_tries_that_failed_together_do_not_come_back_together():
    found = {domain.retry_at(4, NOW, NOW, chance) for chance in range(0, 1000, 50)}
    assert max(found) - min(found) > timedelta(seconds=90)


@given(
    st.sampled_from(templates.NAMES),
    st.sampled_from(["en", "de"]),
    st.dictionaries(
        st.sampled_from(["amount", "number", "customer_name", "url", "total", "reason", "due_on"]),
        st.text(max_size=40),
    ),
)
def test_every_wording_of_ours_can_be_filled_in_with_anything(name, locale, variables):
    wording = templates.built_in(name, locale)
    rendered = templates.render(wording, variables)
    assert "\n" not in rendered.subject
    assert rendered.text.strip()
    assert "<p>" in rendered.html
    for part in ("subject", "text"):
        templates.check(part, getattr(wording, part))


def test_what_a_variable_holds_stays_text_in_html():
    wording = Wording("x", "{{ name }}\n\nhttps://example.com/?a=1&b=2")
    rendered = templates.render(wording, {"name": "<script>alert(1)</script>"})
    assert "<script>" not in rendered.html
    assert "&lt;script&gt;" in rendered.html
    assert '<a href="https://example.com/?a=1&amp;b=2">' in rendered.html
    own = Wording("x", "x", "<b>{{ name }}</b>")
    assert templates.render(own, {"name": "<i>"}).html == "<b>&lt;i&gt;</b>"


def test_a_message_without_end_is_refused():
    with pytest.raises(TemplateInvalid):
        templates.render(Wording("x", "{{ a }}"), {"a": "x" * (templates.RENDERED_MAX + 1)})


@pytest.mark.parametrize(
    ("wanted", "others", "tried"),
    [
        ("de-AT", ("fr", "en"), ["de-AT", "de", "fr", "en"]),
        ("pt_BR", (), ["pt-BR", "pt", "en"]),
        ("", ("", "de"), ["de", "en"]),
    ],
)
def test_locales_are_tried_from_the_nearest_to_english(wanted, others, tried):
    assert templates.locales(wanted, *others) == tried


def test_every_fact_of_an_object_with_events_is_consumed_so_that_none_is_waited_for():
    """Versions count all facts of an object: one that nobody reads would be waited for."""
    from billplane import catalog

    read = {source.message for source in SOURCES}
    told = {(source.message.service, source.message.aggregate) for source in SOURCES}
    produced = {
        message
        for name in catalog.SERVICES
        for message in catalog.load(name).messages
        if message.kind == "fact"
    }
    assert {fact for fact in produced if (fact.service, fact.aggregate) in told} <= read
    assert {"payment_intent.succeeded", "charge.refunded", "invoice.paid"} <= EVENT_TYPES
