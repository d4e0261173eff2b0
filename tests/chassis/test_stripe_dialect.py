"""The dialect of Stripe's SDKs: forms with brackets, expansion, refusals."""

import json
from urllib.parse import urlencode

import pytest
from billplane.chassis.errors import (
    BillplaneError,
    FieldError,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    Invalid,
    Kind,
    MalformedBody,
    NotFound,
    RateLimited,
)
from billplane.chassis.stripe_dialect import Metadata, StripeBody, WholeNumber, error_object
from billplane.chassis.stripe_dialect.answers import bracketed, status_of
from billplane.chassis.stripe_dialect.bodies import merged
from billplane.chassis.stripe_dialect.expansion import expanded
from billplane.chassis.stripe_dialect.forms import parse_form
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from stripe._encode import _api_encode


@pytest.mark.parametrize(
    ("form", "values"),
    [
        (b"", {}),
        (b"amount=100&currency=usd", {"amount": "100", "currency": "usd"}),
        (b"metadata[order]=7&metadata[a.b]=c%20d", {"metadata": {"order": "7", "a.b": "c d"}}),
        (b"expand[0]=customer&expand[1]=latest_charge", {"expand": ["customer", "latest_charge"]}),
        (b"expand[]=customer&expand[]=latest_charge", {"expand": ["customer", "latest_charge"]}),
        (b"expand[1]=b&expand[0]=a", {"expand": ["a", "b"]}),
        (b"items[0][price]=x&items[0][quantity]=2", {"items": [{"price": "x", "quantity": "2"}]}),
        (b"card%5Btoken%5D=tok_visa", {"card": {"token": "tok_visa"}}),
        (b"description=", {"description": ""}),
    ],
)
def test_brackets_nest(form, values):
    assert parse_form(form) == values


@pytest.mark.parametrize(
    "form",
    [
        b"a=1&a[b]=2",
        b"a[b]=2&a=1",
        b"a[b=1",
        b"[a]=1",
        b"a]=1",
        b"a" + b"[b]" * 9 + b"=1",
        b"a=%ff",
        b"&".join(b"k%d=1" % number for number in range(1001)),
    ],
)
def test_a_form_that_means_nothing_is_refused(form):
    with pytest.raises((Invalid, MalformedBody)):
        parse_form(form)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="[]"), min_size=1)


@given(
    st.dictionaries(
        TEXTS.filter(lambda name: not name.isdigit()),
        st.one_of(TEXTS, st.lists(TEXTS, min_size=1, max_size=3)),
        max_size=5,
    )
)
def test_what_the_official_sdk_encodes_is_read_back(values):
    form = urlencode(list(_api_encode({"data": values}))).encode()
    assert parse_form(form) == ({"data": values} if values else {})


class Body(StripeBody):
    amount: WholeNumber | None = None
    metadata: Metadata | None = None


def test_a_body_ignores_what_it_does_not_know_and_reads_numbers_as_text():
    body = Body.model_validate({"amount": "100", "later": "x", "metadata": ["a", "b"]})
    assert (body.amount, body.metadata) == (100, {"0": "a", "1": "b"})


def test_an_empty_text_unsets_a_field():
    body = Body.model_validate({"amount": "", "metadata": ""})
    assert body.model_fields_set == {"amount", "metadata"}
    assert (body.amount, body.metadata) == (None, None)


def test_an_empty_value_takes_a_key_of_metadata_away():
    assert merged({"a": "1", "b": "2"}, {"a": "", "c": "3"}) == {"b": "2", "c": "3"}
    assert merged({"a": "1"}, None) == {}


@pytest.mark.parametrize("number", ["1.5", "1e3", "٣", True, 1.0, "9" * 19, "0x1"])
def test_what_is_no_whole_number_is_refused(number):
    with pytest.raises(ValidationError):
        Body.model_validate({"amount": number})


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (Invalid([FieldError("/amount", "FIELD_REQUIRED", "x")]), 400, "invalid_request_error",
         "parameter_missing"),
        (NotFound("No such thing"), 404, "invalid_request_error", "resource_missing"),
        (IdempotencyKeyReused("x"), 400, "idempotency_error", "idempotency_key_reused"),
        (IdempotencyKeyInUse("x"), 409, "idempotency_error", "idempotency_key_in_use"),
        (RateLimited("x"), 429, "invalid_request_error", "rate_limit"),
        (BillplaneError("x"), 500, "api_error", "internal"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_as_stripe_tells_it(error, status, kind, code):
    told = error_object(error)["error"]
    assert (status_of(error), told["type"], told["code"]) == (status, kind, code)


def test_a_decline_carries_what_its_service_adds():
    class Declined(BillplaneError):
        kind = Kind.DECLINED
        reason = "CARD_DECLINED"

    error = Declined("no", metadata={"stripe": {"decline_code": "stolen_card"}})
    told = error_object(error)["error"]
    assert (status_of(error), told["type"], told["decline_code"]) == (
        402,
        "card_error",
        "stolen_card",
    )


def test_a_field_is_named_as_its_sender_wrote_it():
    assert bracketed("/metadata/a~1b") == "metadata[a/b]"
    assert bracketed("/amount") == "amount"
    assert bracketed("limit") == "limit"


async def test_expansion_puts_objects_in_the_place_of_ids():
    async def load(field, object_id):
        return {"id": object_id, "object": field, "owner": "own_1", "nothing": None}

    value = {"object": "list", "data": [{"thing": "thg_1"}, {"thing": "thg_2"}]}
    await expanded(value, ["data.thing.owner"], load)
    assert [item["thing"]["id"] for item in value["data"]] == ["thg_1", "thg_2"]
    assert value["data"][0]["thing"]["owner"]["id"] == "own_1"
    assert (await expanded({"thing": None}, ["thing.owner"], load)) == {"thing": None}
    json.dumps(value)


@pytest.mark.parametrize("path", ["absent", "number", "thing.absent"])
async def test_what_cannot_be_expanded_is_refused(path):
    async def load(field, object_id):
        return {"id": object_id}

    with pytest.raises(Invalid, match="cannot be expanded"):
        await expanded({"thing": "thg_1", "number": 1}, [path], load)
