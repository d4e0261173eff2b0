"""Every command: help that teaches, data that programs can read, and the right requests."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from billplane_cli.__main__ import app
from billplane_cli.exit_codes import MEANINGS, ExitCode
from billplane_cli.output import format_money

from tests.cli.conftest import Platform, Reply, Run, problem

CUSTOMER = {
    "id": "cus_1",
    "name": "Ada [GmbH]",
    "currency_code": "EUR",
    "address": {"country": "DE"},
}
INVOICE = {
    "id": "inv_1",
    "number": "2026-000001",
    "state": "finalized",
    "customer": {"name": "Ada GmbH"},
    "currency_code": "EUR",
    "total_minor": 123456,
    "due_minor": 123456,
    "lines": [{"description": "Platform fee", "net_minor": 4900, "tax_minor": 931}],
}
# What runs another program takes that program's options; manifests are written as YAML alone.
PASSED_ON = {"export", "verify", "ledger verify", "psql", "run", "migrate"}


def every_command(
    command: Any = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[Any, tuple[str, ...]]]:
    command = command or typer.main.get_command(app)
    children = getattr(command, "commands", None)
    if children is None:
        yield command, path
        return
    for name, child in children.items():
        yield from every_command(child, (*path, name))


COMMANDS = {" ".join(path): command for command, path in every_command()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(run: Run, name: str) -> None:
    result = run(*name.split(), "--help")
    assert result.code == 0
    assert f"$ billplane {name}" in " ".join(result.out.split())
    assert COMMANDS[name].help.endswith(".")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in PASSED_ON])
def test_every_command_offers_output_for_programs(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {"--output", "-o"} <= options


def test_every_exit_code_has_a_meaning_and_the_help_lists_them(run: Run) -> None:
    assert set(MEANINGS) == set(ExitCode)
    told = " ".join(run("--help").out.split())
    assert all(f"{int(code)} {meaning}." in told for code, meaning in MEANINGS.items())


def test_the_command_line_imports_nothing_of_the_platform() -> None:
    program = (
        "import sys, billplane_cli.__main__\n"
        "print([m for m in sys.modules if m.split('.')[0] in {'billplane', 'billplane_operator'}])"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert completed.stdout.strip() == "[]"


def test_the_shell_completes_commands() -> None:
    words = {"COMP_WORDS": "billplane inv", "COMP_CWORD": "1"}
    completed = subprocess.run(
        [sys.executable, "-m", "billplane_cli"],
        env={**os.environ, "_BILLPLANE_COMPLETE": "complete_bash", **words},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.stdout.split() == ["invoice"]


def test_the_version_is_that_of_the_distribution(run: Run) -> None:
    assert run("--version").out.strip() == version("billplane")


def test_a_list_is_a_table_for_people(platform: Platform, run: Run) -> None:
    platform.on("GET", "/v1/customers", Reply(200, {"data": [CUSTOMER], "next_cursor": None}))
    lines = run("customer", "list").out.splitlines()
    assert lines[0].split()[:2] == ["ID", "EXTERNAL"]
    assert "Ada [GmbH]" in lines[1]
    assert "DE" in lines[1]


@pytest.mark.parametrize("output_format", ["json", "yaml"])
def test_a_list_is_the_servers_objects_for_programs(
    platform: Platform, run: Run, output_format: str
) -> None:
    platform.on("GET", "/v1/customers", Reply(200, {"data": [CUSTOMER], "next_cursor": None}))
    result = run("customer", "list", "--output", output_format)
    read = json.loads if output_format == "json" else yaml.safe_load
    assert read(result.out) == [CUSTOMER]


def test_an_empty_list_is_no_data_but_words(platform: Platform, run: Run) -> None:
    platform.on("GET", "/v1/invoices", Reply(200, {"data": [], "next_cursor": None}))
    result = run("invoice", "list")
    assert (result.out, result.err.strip()) == ("", "There are no invoices.")
    assert run("invoice", "list", "-o", "json").json == []


def test_a_customer_is_created_from_what_was_given_and_nothing_else(
    platform: Platform, run: Run
) -> None:
    platform.on("POST", "/v1/customers", Reply(201, CUSTOMER))
    options = ("--currency", "EUR", "--country", "DE", "--metadata", "team=blue=green")
    assert run("customer", "create", "--name", "Ada", *options).code == 0
    assert platform.requests[0].body == {
        "name": "Ada",
        "currency_code": "EUR",
        "address": {"country": "DE"},
        "metadata": {"team": "blue=green"},
    }


def test_a_customer_is_put_on_a_plan(platform: Platform, run: Run) -> None:
    platform.on("POST", "/v1/subscriptions", Reply(201, {"id": "sub_1", "state": "active"}))
    result = run("subscribe", "cus_1", "pro", "--coupon", "SPRING", "-o", "json")
    assert result.json["id"] == "sub_1"
    assert platform.requests[0].body == {
        "customer_id": "cus_1",
        "plan": "pro",
        "coupon_codes": ["SPRING"],
    }


def test_a_subscription_is_cancelled_by_a_verb(platform: Platform, run: Run) -> None:
    platform.on("POST", "/v1/subscriptions/sub_1:cancel", Reply(200, {"id": "sub_1"}))
    assert run("subscription", "cancel", "sub_1").code == 0
    assert run("subscription", "cancel", "sub_1", "--now").code == 0
    assert [one.body["at_period_end"] for one in platform.requests] == [True, False]


def test_a_customer_is_changed_by_what_was_given_alone(platform: Platform, run: Run) -> None:
    platform.on("PATCH", "/v1/customers/cus_1", Reply(200, CUSTOMER))
    options = ("--payment-terms-days", "0", "--tax-id", "eu_vat=ATU12345678")
    assert run("customer", "update", "cus_1", *options).code == 0
    assert platform.requests[0].body == {
        "payment_terms_days": 0,
        "tax_ids": [{"type": "eu_vat", "value": "ATU12345678"}],
    }


def test_billing_waits_for_its_end_and_tells_what_failed(platform: Platform, run: Run) -> None:
    begun = {"id": "run_1", "state": "running", "periods": 0, "invoiced": 0, "failed": 0}
    error = {"subscription_id": "sub_9", "reason": "RATE_STALE", "detail": "the rate is too old"}
    ended = {
        **begun,
        "state": "done",
        "periods": 3,
        "invoiced": 2,
        "failed": 1,
        "errors": [error],
        "finished_at": "2026-02-01T00:00:00Z",
    }
    answers = iter([begun])
    platform.on("POST", "/v1/billing_runs", Reply(202, begun))
    platform.on("GET", "/v1/billing_runs/run_1", lambda _: Reply(200, next(answers, ended)))
    result = run("bill", "--customer", "cus_1")
    assert result.code == ExitCode.FAILED
    assert "sub_9: the rate is too old (RATE_STALE)" in result.out
    assert platform.requests[0].body == {"finalize": True, "customer_ids": ["cus_1"]}


def test_a_test_clock_is_made_and_moved(platform: Platform, run: Run) -> None:
    clock = {"id": "clk_1", "name": "", "now": "2026-01-01T00:00:00Z"}
    platform.on("POST", "/v1/test_clocks", Reply(201, clock))
    platform.on("POST", "/v1/test_clocks/clk_1:advance", Reply(200, clock))
    assert run("clock", "create", "--now", "2026-01-01T00:00:00Z").code == 0
    assert run("clock", "advance", "clk_1", "2026-02-01T00:00:00Z").code == 0
    assert [one.body for one in platform.requests] == [
        {"now": "2026-01-01T00:00:00Z"},
        {"to": "2026-02-01T00:00:00Z"},
    ]


def test_a_quote_shows_its_lines_and_total(platform: Platform, run: Run) -> None:
    line = {"charge": "calls", "quantity": "25000", "exact_amount": "30", "amount_minor": 3000}
    plan = {"id": "plan_1", "name": "pro", "version": 2}
    answer = {"plan": plan, "currency_code": "EUR", "total_minor": 3000, "lines": [line]}
    platform.on("POST", "/v1/quotes", Reply(200, answer))
    options = ("--meter", "api_call", "--quantity", "25000", "--dimension", "region=eu")
    result = run("quote", "pro", *options)
    assert "30.00 EUR" in result.out
    assert platform.requests[0].body == {
        "plan": "pro",
        "items": [{"meter": "api_call", "quantity": "25000", "dimensions": {"region": "eu"}}],
    }


def test_an_invoice_is_shown_with_its_lines_and_filters_reach_the_server(
    platform: Platform, run: Run
) -> None:
    platform.on("GET", "/v1/invoices/2026-000001", Reply(200, INVOICE))
    platform.on("GET", "/v1/invoices", Reply(200, {"data": [INVOICE], "next_cursor": None}))
    shown = run("invoice", "show", "2026-000001").out
    assert "1,234.56 EUR" in shown
    assert "Platform fee" in shown
    run("invoice", "list", "--state", "past_due", "--limit", "7")
    assert platform.requests[-1].query == {"state": "past_due", "limit": "7"}


def test_reactions_that_failed_are_listed_and_done_again(platform: Platform, run: Run) -> None:
    letters = [{"id": "dlq_1", "reaction": "audit_log"}, {"id": "dlq_2", "reaction": "mirror"}]
    platform.on("GET", "/v1/dead_letters", Reply(200, {"data": letters, "next_cursor": None}))
    platform.on("POST", "/v1/dead_letters/dlq_1:replay", Reply(200, letters[0]))
    platform.on("POST", "/v1/dead_letters/dlq_2:replay", problem(409, "REPLAY_FAILED"))
    assert "audit_log" in run("reactions", "list", "--failed").out
    assert run("reactions", "replay", "dlq_1", "-o", "json").json[0]["id"] == "dlq_1"
    result = run("reactions", "replay", "--all")
    assert result.code == ExitCode.FAILED
    assert "dlq_1" in result.out
    assert "1 failed again" in result.err
    assert run("reactions", "replay").code == ExitCode.USAGE
    assert run("reactions", "replay", "dlq_1", "--all").code == ExitCode.USAGE


def test_a_pdf_goes_into_a_file_or_a_pipe(platform: Platform, run: Run, tmp_path: Path) -> None:
    platform.on("GET", "/v1/invoices/inv_1/pdf", Reply(200, b"%PDF-1.7 \xff"))
    target = tmp_path / "bill.pdf"
    assert run("invoice", "pdf", "inv_1", "--file", str(target)).code == 0
    assert target.read_bytes() == b"%PDF-1.7 \xff"
    command = [sys.executable, "-m", "billplane_cli", "invoice", "pdf", "inv_1"]
    piped = subprocess.run([*command, "--url", platform.url], capture_output=True, check=True)
    assert piped.stdout == b"%PDF-1.7 \xff"


def test_an_invoice_is_acted_on_and_credited(platform: Platform, run: Run, tmp_path: Path) -> None:
    for act in ("finalize", "send", "pay", "void"):
        platform.on("POST", f"/v1/invoices/inv_1:{act}", Reply(200, {**INVOICE, "state": act}))
        assert run("invoice", act, "inv_1").code == 0
    platform.on("GET", "/v1/invoices/inv_1/xml", Reply(200, b"<xml/>"))
    target = tmp_path / "bill.xml"
    written = run("invoice", "xml", "inv_1", "--syntax", "ubl", "--file", str(target))
    assert (written.code, target.read_bytes()) == (0, b"<xml/>")
    assert platform.requests[-1].query == {"format": "ubl"}
    note = {"id": "cn_1", "number": "CN-1", "invoice_id": "inv_1", "total_minor": 2_000,
            "currency_code": "EUR"}  # fmt: skip
    platform.on("POST", "/v1/credit_notes", Reply(201, note))
    platform.on("GET", "/v1/credit_notes", Reply(200, {"data": [note], "next_cursor": None}))
    platform.on("GET", "/v1/credit_notes/CN-1", Reply(200, note))
    made = run("credit-note", "create", "inv_1", "--amount-minor", "2000", "--reason", "late")
    assert "20.00 EUR" in made.out
    assert "CN-1" in run("credit-note", "list").out
    assert "CN-1" in run("credit-note", "show", "CN-1").out
    owed = {"customer_name": "Acme", "currency_code": "EUR", "total_minor": 100}
    platform.on("GET", "/v1/receivables", Reply(200, {"data": [owed], "next_cursor": None}))
    assert "1.00 EUR" in run("invoice", "owed", "--as-of", "2026-03-31").out


def test_a_new_key_is_shown_once_and_the_words_are_apart_from_it(
    platform: Platform, run: Run
) -> None:
    platform.on("POST", "/auth/api_keys", Reply(201, {"id": "key_1", "key": "sk_test_1"}))
    result = run("keys", "create", "--name", "ci", "--scope", "invoices:read", "-o", "json")
    assert result.json["key"] == "sk_test_1"
    assert "not shown again" in result.err
    assert platform.requests[0].body == {"type": "test", "name": "ci", "scopes": ["invoices:read"]}


def test_a_refusal_is_told_on_standard_error_alone(platform: Platform, run: Run) -> None:
    result = run("customer", "show", "cus_9", "-o", "json")
    assert (result.code, result.out) == (ExitCode.NOT_FOUND, "")
    assert "NOT_FOUND" in result.err


def test_a_file_that_cannot_be_written_is_told_in_words(platform: Platform, run: Run) -> None:
    platform.on("GET", "/v1/invoices/inv_1/pdf", Reply(200, b"%PDF-1.7"))
    result = run("invoice", "pdf", "inv_1", "--file", "/proc/none/bill.pdf")
    assert result.code == ExitCode.FAILED
    assert "/proc/none/bill.pdf: No such file" in result.err


def test_a_bad_pair_is_named(run: Run) -> None:
    result = run("customer", "create", "--name", "Ada", "--metadata", "blue")
    assert result.code == ExitCode.USAGE
    assert "--metadata blue is not KEY=VALUE" in result.err


def test_status_without_a_platform_has_its_exit_code_and_makes_nothing(
    run: Run, tmp_path: Path
) -> None:
    result = run("status", "--home", str(tmp_path / "none"), "-o", "json")
    assert result.code == ExitCode.UNREACHABLE
    assert result.json["running"] is False
    assert not (tmp_path / "none").exists()


def test_what_needs_a_platform_says_how_to_start_one(run: Run, tmp_path: Path) -> None:
    environment = {**os.environ, "BILLPLANE_HOME": tempfile.mkdtemp(prefix="billplane-")}
    Path(environment["BILLPLANE_HOME"]).chmod(0o755)
    command = [sys.executable, "-m", "billplane_cli", "verify"]
    completed = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    shutil.rmtree(environment["BILLPLANE_HOME"])
    assert completed.returncode == ExitCode.UNREACHABLE
    assert "billplane up" in completed.stderr


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (4900, "EUR", "49.00 EUR"),
        (-5, "USD", "-0.05 USD"),
        (1234567, "JPY", "1,234,567 JPY"),
        (1, "BHD", "0.001 BHD"),
        (5, "???", "5 minor units of ???"),
    ],
)
def test_amounts_have_the_digits_of_their_currency(minor: int, currency: str, text: str) -> None:
    assert format_money(minor, currency) == text
