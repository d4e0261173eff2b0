"""`apply`, `get`, `describe` and `delete` on the folders that the operator works on."""

import contextlib
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from billplane_cli.exit_codes import ExitCode
from billplane_cli.profile import Profile, ProfileFile

from tests.cli.conftest import Run

METER = """\
# What an API call is.
apiVersion: billplane.io/v1alpha1
kind: Meter
metadata:
  name: api-calls
spec:
  eventType: api.request
  aggregation: Sum
  from: 15:30  # text, to kubectl
"""
PLAN = METER.replace("Meter", "BillingPlan").replace("api-calls", "pro")


class StandInOperator:
    """Writes a status for each manifest, as the operator does for this machine."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.invalid: set[str] = set()
        self.stopped = threading.Event()
        for name in ("resources", "status"):
            (home / name).mkdir(parents=True)
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        while not self.stopped.wait(0.02):
            filed = set((self.home / "resources").glob("*/*/*.yaml"))
            for path in filed:
                # It may be deleted at any moment.
                with contextlib.suppress(FileNotFoundError):
                    self.decide(path)
            for path in (self.home / "status").glob("*/*/*.json"):
                parts = path.relative_to(self.home / "status").with_suffix(".yaml")
                if self.home / "resources" / parts not in filed:
                    path.unlink()

    def decide(self, path: Path) -> None:
        text = path.read_text()
        namespace, kind, name = path.with_suffix("").parts[-3:]
        ok = name not in self.invalid
        condition = {
            "type": "Ready",
            "status": "True" if ok else "False",
            "reason": "Applied" if ok else "InvalidSpec",
            "message": "" if ok else "spec.eventType: must be given",
        }
        digest = hashlib.sha256(text.encode()).hexdigest()
        document = {
            "apiVersion": "billplane.io/v1alpha1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "annotations": {"billplane.io/manifest-sha256": digest},
            },
            "spec": yaml.safe_load(text)["spec"],
            "status": {"conditions": [condition], "planId": "pln_1"},
        }
        target = self.home / "status" / namespace / kind / f"{name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_text(json.dumps(document))
        partial.replace(target)

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join()


@pytest.fixture
def operator(surroundings: Path) -> Iterator[StandInOperator]:
    stand_in = StandInOperator(surroundings / "home")
    yield stand_in
    stand_in.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "both.yaml").write_text(f"{METER}---\n{PLAN}")
    return manifests


def names(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(row["kind"], row["name"], row["change"]) for row in rows]


def test_apply_files_each_resource_and_waits_until_it_runs(
    operator: StandInOperator, run: Run, folder: Path
) -> None:
    result = run("apply", "-f", str(folder), "-o", "json")
    assert result.code == 0, result.err
    assert names(result.json) == [
        ("Meter", "api-calls", "created"),
        ("BillingPlan", "pro", "created"),
    ]
    assert {row["ready"] for row in result.json} == {"True"}
    filed = operator.home / "resources" / "default" / "Meter" / "api-calls.yaml"
    assert "15:30  # text, to kubectl" in filed.read_text()


def test_the_same_files_again_change_nothing(
    operator: StandInOperator, run: Run, folder: Path
) -> None:
    run("apply", "-f", str(folder))
    filed = operator.home / "resources" / "default" / "Meter" / "api-calls.yaml"
    written_at = filed.stat().st_mtime_ns
    assert {row["change"] for row in run("apply", "-f", str(folder), "-o", "json").json} == {
        "unchanged"
    }
    assert filed.stat().st_mtime_ns == written_at


def test_a_refused_resource_fails_with_its_reason(
    operator: StandInOperator, run: Run, folder: Path
) -> None:
    operator.invalid.add("pro")
    result = run("apply", "-f", str(folder))
    assert result.code == ExitCode.INVALID
    assert "spec.eventType: must be given" in result.out
    assert "BillingPlan pro" in result.err


def test_without_an_operator_apply_says_that_nothing_was_decided(
    run: Run, surroundings: Path, folder: Path
) -> None:
    (surroundings / "home" / "resources").mkdir(parents=True)
    result = run("apply", "-f", str(folder), "--timeout", "0.2")
    assert result.code == ExitCode.FAILED
    assert "Not decided in time" in result.err
    assert run("apply", "-f", str(folder), "--no-wait").code == 0


def test_without_a_platform_apply_says_how_to_start_one(run: Run, folder: Path) -> None:
    result = run("apply", "-f", str(folder))
    assert result.code == ExitCode.UNREACHABLE
    assert "billplane up" in result.err


def test_a_namespace_is_a_tenant(operator: StandInOperator, run: Run, folder: Path) -> None:
    ProfileFile().save(Profile(tenant_id="ten-7"), make_current=True)
    run("apply", "-f", str(folder))
    run("apply", "-f", str(folder), "-n", "other")
    assert {path.name for path in (operator.home / "resources").iterdir()} == {"ten-7", "other"}
    listed = run("get", "meters", "-A", "-o", "json").json
    assert {document["metadata"]["namespace"] for document in listed} == {"ten-7", "other"}


FEED = """\
apiVersion: billplane.io/v1alpha1
kind: ExchangeRateFeed
metadata: {name: NAME}
spec:
  source: {csv: {file: rates.csv, wide: true}}
"""


def test_a_table_that_a_feed_names_goes_with_it_and_away_with_its_last_reader(
    operator: StandInOperator, run: Run, tmp_path: Path
) -> None:
    manifests = tmp_path / "feeds"
    manifests.mkdir()
    for name in ("one", "two"):
        (manifests / f"{name}.yaml").write_text(FEED.replace("NAME", name))
    assert run("apply", "-f", str(manifests)).code == ExitCode.INVALID
    assert list((operator.home / "resources").iterdir()) == []
    (manifests / "rates.csv").write_text("Date,USD\n")
    assert run("apply", "-f", str(manifests)).code == 0
    beside = operator.home / "resources" / "default" / "ExchangeRateFeed" / "rates.csv"
    assert beside.read_text() == "Date,USD\n"

    (manifests / "rates.csv").write_text("Date,USD\n2026-01-02,1.1\n")
    changed = run("apply", "-f", str(manifests / "one.yaml"), "-o", "json").json
    assert changed[0]["change"] == "configured"
    assert "1.1" in beside.read_text()

    run("delete", "feed", "one")
    assert beside.exists()
    run("delete", "feed", "two")
    assert not beside.exists()


@pytest.mark.parametrize("name", ["../rates.csv", "other.yaml", "/etc/passwd"])
def test_a_table_that_lies_elsewhere_is_refused(
    operator: StandInOperator, run: Run, tmp_path: Path, name: str
) -> None:
    manifests = tmp_path / "feeds"
    manifests.mkdir()
    (tmp_path / "rates.csv").write_text("Date,USD\n")
    elsewhere = FEED.replace("rates.csv", name).replace("NAME", "one")
    (manifests / "one.yaml").write_text(elsewhere)
    result = run("apply", "-f", str(manifests / "one.yaml"))
    assert result.code == ExitCode.INVALID
    assert name in result.err
    assert list((operator.home / "resources").iterdir()) == []


def test_two_namespaces_for_one_resource_are_refused(
    operator: StandInOperator, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "meter.yaml"
    path.write_text(METER.replace("name: api-calls", "name: api-calls\n  namespace: one"))
    assert run("apply", "-f", str(path), "-n", "two").code == ExitCode.INVALID
    assert run("apply", "-f", str(path)).code == 0
    assert (operator.home / "resources" / "one").exists()


def test_a_list_is_taken_apart(operator: StandInOperator, run: Run) -> None:
    items = [yaml.safe_load(text) for text in (METER, PLAN)]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    result = run("apply", "-f", "-", "-o", "json", given=text)
    assert len(result.json) == 2
    assert {row["ready"] for row in result.json} == {"True"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "expected"),
        ("- 1", "a manifest is an object"),
        (METER.replace("v1alpha1", "v2"), "apiVersion is 'billplane.io/v2'"),
        (METER.replace("kind: Meter", "kind: Pod"), "kind is 'Pod'"),
        (METER.replace("api-calls", "../../etc"), "lower-case letters"),
        (METER.replace("name: api-calls", "label: x"), "lower-case letters"),
        (f"{METER}---\n{METER}", "stands in"),
        ("# nothing\n", "no manifest"),
    ],
)
def test_what_is_no_manifest_is_named_and_nothing_is_filed(
    operator: StandInOperator, run: Run, text: str, words: str
) -> None:
    result = run("apply", "-f", "-", given=text)
    assert result.code == ExitCode.INVALID
    assert words in result.err
    assert list((operator.home / "resources").iterdir()) == []


def test_get_takes_the_names_that_kubectl_takes(
    operator: StandInOperator, run: Run, folder: Path
) -> None:
    run("apply", "-f", str(folder))
    for kind in ("BillingPlan", "billingplans", "bplan", "plan/pro"):
        assert "pro" in run("get", kind).out
    assert "api-calls" in run("get").out
    assert run("get", "meter", "other").code == ExitCode.NOT_FOUND
    assert run("get", "pods").code == ExitCode.USAGE
    one = yaml.safe_load(run("get", "meter", "api-calls", "-o", "yaml").out)
    assert one["spec"]["eventType"] == "api.request"


def test_a_manifest_that_was_not_looked_at_yet_is_pending(
    run: Run, surroundings: Path, folder: Path
) -> None:
    (surroundings / "home" / "resources").mkdir(parents=True)
    run("apply", "-f", str(folder), "--no-wait")
    assert "Pending" in run("get", "meters").out


def test_describe_shows_the_spec_and_every_condition(
    operator: StandInOperator, run: Run, folder: Path
) -> None:
    run("apply", "-f", str(folder))
    result = run("describe", "plan", "pro")
    assert "eventType: api.request" in result.out
    assert "planId: pln_1" in result.out
    assert "Ready" in result.out
    assert "Applied" in result.out


def test_delete_takes_away_what_was_applied(
    operator: StandInOperator, run: Run, folder: Path
) -> None:
    run("apply", "-f", str(folder))
    assert run("delete", "meter", "api-calls").code == 0
    assert run("delete", "meter", "api-calls").code == ExitCode.NOT_FOUND
    result = run("delete", "-f", str(folder), "-o", "json")
    assert names(result.json) == [
        ("Meter", "api-calls", "not found"),
        ("BillingPlan", "pro", "deleted"),
    ]
    assert "No resources found" in run("get").err
    assert list((operator.home / "status").glob("*/*/*")) == []


def test_delete_without_a_name_is_refused(operator: StandInOperator, run: Run) -> None:
    assert run("delete").code == ExitCode.USAGE
    assert run("delete", "meters").code == ExitCode.USAGE


def test_a_home_that_is_gone_is_no_stack_trace(operator: StandInOperator, run: Run) -> None:
    operator.stop()
    shutil.rmtree(operator.home)
    assert run("get").code == ExitCode.UNREACHABLE
