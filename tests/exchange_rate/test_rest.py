"""REST of exchange_rate: feeds, rates as of a date, crosses, conversions."""

import io
import zipfile
from decimal import Decimal

import pytest
from billplane.chassis.applied import Application
from billplane.chassis.auth import service_principal
from billplane.chassis.errors import BillplaneError
from billplane.exchange_rate.providers import csv_table, ecb
from billplane.exchange_rate.service import feeds
from billplane.resources import ExchangeRateFeedSpec
from billplane.resources.exchange_rate_feed import CsvSource

STATIC = {
    "base": "EUR",
    "currencies": ["USD", "GBP"],
    "source": {
        "static": {
            "rates": [
                {"quote": "USD", "rate": "1.3194", "asOf": "2013-01-02"},
                {"quote": "USD", "rate": "1.3550", "asOf": "2013-01-31"},
                {"quote": "GBP", "rate": "0.8130", "asOf": "2013-01-02"},
            ]
        }
    },
}


async def _feed(platform, tenant, spec=STATIC, name="fx"):
    headers = platform.headers(tenant)
    made = await platform.request(
        "POST", "/v1/exchange_rate_feeds", json={"name": name, "spec": spec}, headers=headers,
        expect=201,
    )  # fmt: skip
    done = await platform.request(
        "POST", f"/v1/exchange_rate_feeds/{made['id']}:refresh", headers=headers, expect=200
    )
    return headers, done


async def test_a_look_up_takes_the_last_known_rate_at_or_before_the_date(platform):
    headers, done = await _feed(platform, "ten_fx1")
    assert done["feed"]["rate_count"] == 3
    for asked, rate, as_of in (
        ("2013-01-02", "1.3194", "2013-01-02"),
        ("2013-01-30", "1.3194", "2013-01-02"),
        ("2013-02-15", "1.355", "2013-01-31"),
    ):
        found = await platform.request(
            "GET", f"/v1/exchange_rates/EUR/USD?as_of={asked}", headers=headers, expect=200
        )
        assert (found["rate"], found["as_of"]) == (rate, as_of)
        assert len(found["rate_ids"]) == 1
    early = await platform.request(
        "GET", "/v1/exchange_rates/EUR/USD?as_of=2013-01-01", headers=headers, expect=404
    )
    assert early["reason"] == "RATE_NOT_FOUND"


async def test_crosses_go_through_the_base_and_name_both_rates(platform):
    headers, _ = await _feed(platform, "ten_fx2")
    found = await platform.request(
        "GET", "/v1/exchange_rates/USD/GBP?as_of=2013-01-02", headers=headers, expect=200
    )
    exact = Decimal("0.8130") / Decimal("1.3194")
    assert abs(Decimal(found["rate"]) - exact) < Decimal("1e-25")
    assert len(found["rate_ids"]) == 2
    converted = await platform.request(
        "POST", "/v1/exchange_rates:convert", headers=headers, expect=200,
        json={"amount_minor": 100_00, "currency_code": "EUR", "to": "USD", "as_of": "2013-01-31"},
    )  # fmt: skip
    assert converted["amount_minor"] == 135_50


async def test_a_repeated_refresh_stores_nothing_new(platform):
    headers, done = await _feed(platform, "ten_fx3")
    again = await platform.request(
        "POST", f"/v1/exchange_rate_feeds/{done['feed']['id']}:refresh", headers=headers, expect=200
    )
    assert again["added"] == 0
    assert again["feed"]["rate_count"] == 3


async def test_a_jump_beyond_the_allowed_deviation_is_held_back(platform):
    spec = STATIC | {
        "maxDeviation": "0.10",
        "currencies": ["USD"],
        "source": {
            "static": {
                "rates": [
                    {"quote": "USD", "rate": "1.30", "asOf": "2013-01-02"},
                    {"quote": "USD", "rate": "13.0", "asOf": "2013-01-03"},
                    {"quote": "USD", "rate": "1.31", "asOf": "2013-01-04"},
                ]
            }
        },
    }
    headers, _ = await _feed(platform, "ten_fx4", spec)
    found = await platform.request(
        "GET", "/v1/exchange_rates/EUR/USD?as_of=2013-01-03", headers=headers, expect=200
    )
    assert found["rate"] == "1.3"
    listed = await platform.request("GET", "/v1/exchange_rates", headers=headers, expect=200)
    assert [row["held_back"] for row in listed["data"]].count(True) == 1


async def test_private_addresses_are_refused(platform):
    spec = STATIC | {
        "schedule": "0 16 * * *",
        "source": {"ecb": {"url": "http://10.0.0.1/rates.xml"}},
    }
    made = await platform.request(
        "POST", "/v1/exchange_rate_feeds", json={"name": "inside", "spec": spec},
        headers=platform.headers("ten_fx5"), expect=201,
    )  # fmt: skip
    refused = await platform.request(
        "POST", f"/v1/exchange_rate_feeds/{made['id']}:refresh",
        headers=platform.headers("ten_fx5"), expect=422,
    )  # fmt: skip
    assert refused["reason"] == "URL_REFUSED"


async def test_a_bad_spec_names_the_field_and_stores_nothing(platform):
    spec = STATIC | {"currencies": ["EUR"]}
    refused = await platform.request(
        "POST", "/v1/exchange_rate_feeds", json={"name": "bad", "spec": spec},
        headers=platform.headers("ten_fx6"), expect=422,
    )  # fmt: skip
    assert refused["reason"] == "INVALID_SPEC"
    assert refused["errors"][0]["field"] == "spec.currencies[0]"
    listed = await platform.request(
        "GET", "/v1/exchange_rate_feeds", headers=platform.headers("ten_fx6"), expect=200
    )
    assert listed["data"] == []


async def test_what_a_resource_owns_is_read_only_through_the_api(platform):
    runtime = platform.platform.runtimes["exchange_rate"]
    principal = service_principal("operator", "ten_fx7", livemode=False)
    text = ExchangeRateFeedSpec.parse(STATIC).model_dump_json(by_alias=True, exclude_none=True)
    given = Application("uid-1", "default", "owned", 1, 0, "", text)
    async with runtime.database.write(runtime, principal) as tx:
        first = await feeds.apply_feed(tx, given)
    async with runtime.database.write(runtime, principal) as tx:
        again = await feeds.apply_feed(tx, given)
    assert (first.row.id, first.row.version) == (again.row.id, again.row.version)
    refused = await platform.request(
        "DELETE", "/v1/exchange_rate_feeds/owned", headers=platform.headers("ten_fx7"), expect=409
    )
    assert refused["reason"] == "MANAGED_BY_RESOURCE"
    with pytest.raises(BillplaneError, match="was applied already"):
        async with runtime.database.write(runtime, principal) as tx:
            await feeds.apply_feed(tx, Application("uid-1", "default", "owned", 0, 0, "", text))


def test_ecb_xml_is_read_as_published():
    body = b"""<?xml version="1.0"?><gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml"
      xmlns="http://www.ecb.int/vocabulary/eurofxref"><Cube><Cube time="2013-01-02">
      <Cube currency="USD" rate="1.3262"/><Cube currency="JPY" rate="115.65"/></Cube></Cube>
      </gesmes:Envelope>"""
    found = ecb.parse(body)
    assert [(item.quote, str(item.rate), item.as_of.isoformat()) for item in found] == [
        ("USD", "1.3262", "2013-01-02"),
        ("JPY", "115.65", "2013-01-02"),
    ]


def test_a_wide_table_in_a_zip_is_read_and_gaps_are_left_out():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("hist.csv", "Date,USD,CYP,\n2013-01-03,1.3102,N/A,\n2013-01-02,1.3262,,\n")
    source = CsvSource.model_validate({"file": "hist.zip", "wide": True})
    found = csv_table.parse(packed.getvalue(), source, "EUR", ("USD", "CYP"))
    assert [(item.quote, str(item.rate)) for item in found] == [
        ("USD", "1.3102"),
        ("USD", "1.3262"),
    ]
