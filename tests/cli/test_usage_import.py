"""`usage import`: every row once, whatever happens in between, and every refusal explained."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from billplane_cli.exit_codes import ExitCode

from tests.cli.conftest import Platform, Reply, Request, Run, problem

PATH = "/v1/usage_events"
BASE = ("--type", "api.request", "--map", "subject=customer", "--map", "data.units=units")


class Metering:
    """Takes batches whole or not at all, and an event once by its source and id."""

    def __init__(self, platform: Platform) -> None:
        self.events: dict[tuple[str, str], dict[str, Any]] = {}
        self.batches: list[int] = []
        self.bad: Callable[[dict[str, Any]], bool] = lambda _event: False
        self.tells_index = True
        self.before: Callable[[], None] = lambda: None
        self.lock = threading.Lock()
        platform.on("POST", PATH, self.take)

    def take(self, request: Request) -> Reply:
        self.before()
        assert request.headers["content-type"] == "application/cloudevents-batch+json"
        assert len(request.content) <= 1_048_576
        events = request.body
        refused = [
            {"index": index, "field": f"/{index}/data/units", "reason": "QUANTITY_OUT_OF_RANGE"}
            for index, event in enumerate(events)
            if self.bad(event)
        ]
        if refused:
            errors = refused if self.tells_index else []
            return problem(422, "QUANTITY_OUT_OF_RANGE", "a quantity is wrong", errors=errors)
        with self.lock:
            results = [self.store(index, event) for index, event in enumerate(events)]
            self.batches.append(len(events))
        count = sum(result["status"] == "accepted" for result in results)
        numbers = {"accepted": count, "duplicates": len(results) - count}
        return Reply(202, {**numbers, "results": results})

    def store(self, index: int, event: dict[str, Any]) -> dict[str, Any]:
        known = self.events.setdefault((event["source"], event["id"]), event)
        assert known == event, "one id for two events"
        status = "accepted" if known is event else "duplicate"
        return {"index": index, "id": event["id"], "status": status}

    @property
    def units(self) -> int:
        return sum(int(event["data"]["units"]) for event in self.events.values())


@pytest.fixture
def metering(platform: Platform) -> Metering:
    return Metering(platform)


def write_rows(path: Path, count: int) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["customer", "time", "units"])
        for n in range(count):
            writer.writerow([f"cus_{n % 7}", "2026-01-01T00:00:00Z", n])
    return path


def test_a_file_arrives_whole_in_batches_of_500(
    metering: Metering, run: Run, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "calls.csv", 1234)
    result = run("usage", "import", str(path), *BASE, "-o", "json")
    assert result.code == 0, result.err
    assert result.json["accepted"] == 1234
    assert metering.batches == [500, 500, 234]
    assert metering.units == sum(range(1234))
    assert list(tmp_path.glob("*checkpoint*")) == []


def test_the_same_file_again_changes_nothing(metering: Metering, run: Run, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "calls.csv", 600)
    run("usage", "import", str(path), *BASE)
    result = run("usage", "import", str(path), *BASE, "-o", "json")
    assert (result.json["accepted"], result.json["duplicates"]) == (0, 600)
    assert len(metering.events) == 600


def test_large_rows_make_smaller_batches(metering: Metering, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("w") as stream:
        for n in range(60):
            row = {"customer": "c", "time": "2026-01-01", "units": n, "note": "x" * 50_000}
            stream.write(json.dumps(row) + "\n")
    result = run("usage", "import", str(path), *BASE, "--map", "data.note=note")
    assert result.code == 0, result.err
    assert sum(metering.batches) == 60
    assert max(metering.batches) < 20


@pytest.mark.parametrize("packing", ["gz", "zip", "plain", "bom", "pipe"])
def test_packed_and_piped_rows_are_read_alike(
    metering: Metering, run: Run, tmp_path: Path, packing: str
) -> None:
    plain = write_rows(tmp_path / "calls.csv", 50)
    content, given = plain.read_bytes(), b""
    path = tmp_path / f"calls.csv.{packing}"
    if packing == "gz":
        path.write_bytes(gzip.compress(content))
    elif packing == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(plain, "inner/calls.csv")
    elif packing == "pipe":
        path, given = Path("-"), content
    else:
        path.write_bytes((b"\xef\xbb\xbf" if packing == "bom" else b"") + content)
    ids = ("--map", "id={customer}-{units}") if packing == "pipe" else ()
    result = run("usage", "import", str(path), *BASE, *ids, given=given)
    assert result.code == 0, result.err
    assert metering.units == sum(range(50))


def test_a_zip_of_several_files_asks_which(metering: Metering, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "both.zip"
    row = "customer,time,units\nc,2026-01-01,3\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", row)
        archive.writestr("b.csv", row)
    result = run("usage", "import", str(path), *BASE)
    assert result.code == ExitCode.USAGE
    assert "a.csv, b.csv" in result.err
    for member in ("a.csv", "b.csv"):
        assert run("usage", "import", str(path), *BASE, "--member", member).code == 0
    assert metering.units == 6


def test_a_pipe_must_bring_ids_since_its_lines_are_not_known_again(
    metering: Metering, run: Run
) -> None:
    rows = "customer,time,units\nc,2026-01-01,3\n"
    result = run("usage", "import", "-", *BASE, given=rows)
    assert result.code == ExitCode.USAGE
    assert "what an event's id is" in result.err
    assert metering.events == {}


def test_refused_rows_are_left_out_and_explained_and_all_others_are_taken(
    metering: Metering, run: Run, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "calls.csv", 1100)
    rows = path.read_text().splitlines()
    rows[3] = "cus_1,yesterday,2"
    rows[7] = "cus_1,2026-01-01"
    path.write_text("\n".join(rows))
    metering.bad = lambda event: event["data"]["units"] in {"10", "700"}
    rejected = tmp_path / "rejected.csv"
    result = run("usage", "import", str(path), *BASE, "--rejected", str(rejected), "-o", "json")
    assert result.code == ExitCode.PARTLY_REJECTED
    assert (result.json["accepted"], result.json["rejected"]) == (1096, 4)
    with rejected.open(newline="") as stream:
        found = {row["line"]: row["reason"] for row in csv.DictReader(stream)}
    assert found == {
        "4": "TIME_INVALID",
        "8": "ROW_MALFORMED",
        "12": "QUANTITY_OUT_OF_RANGE",
        "702": "QUANTITY_OUT_OF_RANGE",
    }


def test_without_a_file_for_them_refusals_are_told(
    metering: Metering, run: Run, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "calls.csv", 20)
    metering.bad = lambda event: event["data"]["units"] == "5"
    result = run("usage", "import", str(path), *BASE)
    assert result.code == ExitCode.PARTLY_REJECTED
    assert "line 7: /5/data/units" in result.err


def test_a_refusal_that_does_not_say_which_event_is_narrowed_down(
    metering: Metering, run: Run, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "calls.csv", 100)
    metering.tells_index = False
    metering.bad = lambda event: event["data"]["units"] in {"0", "63"}
    result = run("usage", "import", str(path), *BASE, "-o", "json")
    assert (result.json["accepted"], result.json["rejected"]) == (98, 2)


def test_what_lacks_in_the_columns_is_told_before_anything_is_sent(
    metering: Metering, run: Run, platform: Platform, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "calls.csv", 3)
    result = run("usage", "import", str(path), "--type", "t", "--map", "subject=client")
    assert result.code == ExitCode.USAGE
    assert "customer, time, units" in result.err
    assert platform.requests == []
    assert metering.events == {}


def test_an_interrupted_import_goes_on_where_it_was(
    metering: Metering, run: Run, platform: Platform, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "calls.csv", 2000)
    rejected = tmp_path / "rejected.csv"
    metering.bad = lambda event: event["data"]["units"] in {"20", "1020"}
    arguments = ("usage", "import", str(path), *BASE, "--rejected", str(rejected), "-o", "json")
    platform.on("POST", PATH, lambda request: fail_after(metering, request, 2))
    first = run(*arguments)
    assert first.code == ExitCode.NOT_ALLOWED
    assert "Run the same command again" in first.err

    platform.on("POST", PATH, metering.take)
    second = run(*arguments)
    assert second.code == ExitCode.PARTLY_REJECTED
    assert "Going on after line" in second.err
    assert (second.json["accepted"], second.json["rejected"]) == (1998, 2)
    assert second.json["duplicates"] == 0
    assert metering.units == sum(range(2000)) - 1040
    assert len(rejected.read_text().splitlines()) == 3


def fail_after(metering: Metering, request: Request, batches: int) -> Reply:
    if len(metering.batches) >= batches:
        return problem(401, "KEY_REVOKED", "the key was revoked")
    return metering.take(request)


def test_a_killed_import_goes_on_without_doubling(
    metering: Metering, platform: Platform, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "calls.csv", 5000)
    command = [sys.executable, "-m", "billplane_cli", "usage", "import", str(path), *BASE]
    environment = {**os.environ, "BILLPLANE_URL": platform.url}
    for batches in (2, 5):
        metering.before = lambda: time.sleep(0.02)
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while len(metering.batches) < batches:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 0 < len(metering.events) < 5000
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert metering.units == sum(range(5000))
    # At most the batch in hand was sent twice at each kill.
    assert sum(metering.batches) <= 5000 + 2 * 500


def test_an_interrupted_import_of_another_file_is_not_mixed_up(
    metering: Metering, run: Run, platform: Platform, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "calls.csv", 1500)
    platform.on("POST", PATH, lambda request: fail_after(metering, request, 1))
    run("usage", "import", str(path), *BASE)
    platform.on("POST", PATH, metering.take)
    write_rows(path, 1400)
    refused = run("usage", "import", str(path), *BASE)
    assert refused.code == ExitCode.CONFLICT
    assert "--restart" in refused.err
    assert run("usage", "import", str(path), *BASE, "--restart").code == 0


def test_a_platform_that_restarts_is_waited_for(
    metering: Metering, run: Run, platform: Platform, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "calls.csv", 1000)
    failures = iter([problem(503, "UNAVAILABLE")] * 2)
    platform.on("POST", PATH, lambda request: next(failures, None) or metering.take(request))
    result = run("usage", "import", str(path), *BASE, "-o", "json")
    assert result.json["accepted"] == 1000


def test_a_file_that_is_no_table_is_told_with_its_line(
    metering: Metering, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "broken.csv"
    path.write_text('customer,time,units\nc,2026-01-01,1\n"open,2026-01-01,1\n')
    result = run("usage", "import", str(path), *BASE)
    assert result.code == ExitCode.INVALID
    assert "after line" in result.err
    assert metering.units == 0


def test_memory_does_not_grow_with_the_file(
    metering: Metering, platform: Platform, tmp_path: Path
) -> None:
    platform.on("POST", PATH, lambda request: Reply(202, counts(request)))
    peaks = []
    for count in (2_000, 30_000):
        path = tmp_path / "calls.csv.gz"
        rows = "".join(f"cus_1,2026-01-01T00:00:00Z,{n}\n" for n in range(count))
        path.write_bytes(gzip.compress(f"customer,time,units\n{rows}".encode(), 1))
        peaks.append(peak_memory_of_import(path, platform.url))
    assert peaks[1] < peaks[0] + 4_000_000


def counts(request: Request) -> dict[str, Any]:
    return {"accepted": request.content.count(b'"specversion"'), "duplicates": 0, "results": []}


def peak_memory_of_import(path: Path, url: str) -> int:
    program = (
        "import sys\n"
        "from billplane_cli.__main__ import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: print(*[line for line in open('/proc/self/status') if 'VmHWM' in line])\n"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program, "usage", "import", str(path), *BASE],
        env={**os.environ, "BILLPLANE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    (peak,) = (line for line in completed.stdout.splitlines() if "VmHWM" in line)
    return int(peak.split()[1]) * 1024


def test_one_event_is_sent_with_its_data(metering: Metering, run: Run) -> None:
    data = ("--data", "units=5", "--data", "region=eu")
    result = run(
        "usage", "send", "cus_1", "--type", "api.request", "--id", "r-1", *data, "-o", "json"
    )
    assert result.json["status"] == "accepted"
    (event,) = metering.events.values()
    assert (event["id"], event["subject"]) == ("r-1", "cus_1")
    assert event["data"] == {"units": "5", "region": "eu"}


def test_two_events_without_an_id_are_two(metering: Metering, run: Run) -> None:
    for _ in range(2):
        run("usage", "send", "cus_1", "--type", "api.request", "--data", "units=1")
    assert metering.units == 2
