"""Send rows of usage in batches, note how far it came, and go on there after an interruption.

The server takes a batch whole or refuses it whole and says which events are wrong; those are
noted as rejected and the others sent again. An event's id comes from the file, so what is sent
twice after an interruption counts once.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Protocol

from billplane_cli.errors import ApiError, CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.usage_mapping import EventMapping, RowError
from billplane_cli.usage_rows import OpenRows, Row, RowSource

BATCH_EVENTS = 500
# Below the server's limit of 1 MiB a request, brackets and commas included.
BATCH_BYTES = 900_000
# So that a file of bad rows alone does not fill the memory.
BATCH_REJECTIONS = 5_000
CHECKPOINT_SUFFIX = ".import-checkpoint"
REJECTED_COLUMNS = ("line", "reason", "field", "detail", "row")
_REFUSED = frozenset({409, 422})
# The position of an event in a field such as /3/data/units or [3].data.units.
_INDEX = re.compile(r"/?\[?(\d+)\]?")


@dataclass(frozen=True)
class Rejection:
    """One row that was not taken."""

    line: int
    reason: str
    field: str
    detail: str
    row: str = ""


@dataclass(frozen=True)
class ImportState:
    """How far an import has come; `line` is the last one that is dealt with."""

    import_id: str
    line: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejected_bytes: int = 0


class Sender(Protocol):
    """What takes a batch of events."""

    def __call__(self, content: bytes) -> dict[str, Any]:
        """Send a JSON array of events; answer {accepted, duplicates}.

        Raises: ApiError.
        """


@dataclass(frozen=True)
class Pending:
    """One event on its way, with the row that it came from."""

    row: Row
    content: bytes


@dataclass
class Batch:
    """Rows that are dealt with together: what is sent, and what is known to be wrong."""

    events: list[Pending] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    bytes: int = 0
    last_line: int = 0

    def has_room_for(self, pending: Pending) -> bool:
        """Tell whether one more event fits into a request."""
        fits = self.bytes + len(pending.content) < BATCH_BYTES
        return not self.events or (fits and len(self.events) < BATCH_EVENTS)

    def add(self, pending: Pending) -> None:
        """Take one more event."""
        self.events.append(pending)
        self.bytes += len(pending.content) + 1


class UsageImport:
    """One import of one source; see the module."""

    def __init__(
        self,
        source: RowSource,
        mapping: EventMapping,
        send: Sender,
        *,
        import_id: str,
        rejected_path: Path | None = None,
        on_rejection: Callable[[Rejection], None] = lambda _rejection: None,
    ) -> None:
        self._source = source
        self._mapping = mapping
        self._send = send
        self._rejected_path = rejected_path
        self._on_rejection = on_rejection
        self._state = ImportState(import_id)

    @property
    def state(self) -> ImportState:
        """Tell how far it came."""
        return self._state

    def resume(self) -> bool:
        """Take up an interrupted import of the same rows; answer whether there was one.

        Raises: CliError when the interrupted one was another.
        """
        path = self.checkpoint_path
        if path is None or not path.exists():
            return False
        try:
            stored = ImportState(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise self._foreign(path) from error
        if stored.import_id != self._state.import_id:
            raise self._foreign(path)
        self._state = stored
        return True

    def run(self, on_progress: Callable[[OpenRows, ImportState], None]) -> ImportState:
        """Import everything that is left.

        Raises: ApiError, UnreachableError and CliError; what was acknowledged until then is
            noted, and the same command goes on from there.
        """
        with self._source.open() as opened, self._open_rejected() as rejected:
            for batch in self._batches(opened):
                taken = self._send_all(batch)
                for rejection in sorted(batch.rejections, key=lambda found: found.line):
                    self._reject(rejection, rejected)
                self._state = replace(
                    self._state,
                    line=batch.last_line,
                    accepted=self._state.accepted + taken["accepted"],
                    duplicates=self._state.duplicates + taken["duplicates"],
                    rejected=self._state.rejected + len(batch.rejections),
                    rejected_bytes=_flushed_size(rejected),
                )
                self._save()
                on_progress(opened, self._state)
        if self.checkpoint_path is not None:
            self.checkpoint_path.unlink(missing_ok=True)
        return self._state

    @property
    def checkpoint_path(self) -> Path | None:
        """Give the file beside the source that notes how far it came; none for a pipe."""
        if not self._source.is_file:
            return None
        return Path(self._source.path + CHECKPOINT_SUFFIX)

    def _batches(self, opened: OpenRows) -> Iterator[Batch]:
        batch = Batch()
        checked = False
        for row in opened.rows:
            if not checked and not row.problem:
                self._mapping.check_columns(row.values)
                checked = True
            if row.line <= self._state.line:
                continue
            try:
                pending = self._pending(row)
            except RowError as error:
                rejection = Rejection(row.line, error.reason, error.field, error.detail)
                if len(batch.rejections) >= BATCH_REJECTIONS:
                    yield batch
                    batch = Batch()
                batch.rejections.append(replace(rejection, row=_row_text(row)))
            else:
                if not batch.has_room_for(pending):
                    yield batch
                    batch = Batch()
                batch.add(pending)
            batch.last_line = row.line
        if batch.last_line:
            yield batch

    def _pending(self, row: Row) -> Pending:
        if row.problem:
            raise RowError("ROW_MALFORMED", "", row.problem)
        event = self._mapping.event(row.line, row.values)
        return Pending(row, json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())

    def _send_all(self, batch: Batch) -> dict[str, int]:
        """Send what the server takes of a batch, and note in the batch what it refuses."""
        total = {"accepted": 0, "duplicates": 0}
        waiting = [batch.events] if batch.events else []
        while waiting:
            part = waiting.pop()
            try:
                answer = self._send(b"[" + b",".join(item.content for item in part) + b"]")
            except ApiError as error:
                if error.status not in _REFUSED:
                    raise
                refused = _refusals(error, len(part))
                if refused is None:
                    # It does not say which; one half at a time, it will.
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
                    continue
                batch.rejections += [
                    replace(rejection, line=part[index].row.line, row=_row_text(part[index].row))
                    for index, rejection in refused.items()
                ]
                left = [item for index, item in enumerate(part) if index not in refused]
                waiting += [left] if left else []
            else:
                total = {name: total[name] + int(answer[name]) for name in total}
        return total

    def _reject(self, rejection: Rejection, rejected: IO[str] | None) -> None:
        self._on_rejection(rejection)
        if rejected is not None:
            csv.writer(rejected).writerow(asdict(rejection).values())

    @contextmanager
    def _open_rejected(self) -> Iterator[IO[str] | None]:
        """Open the file of rejected rows where the state says it ended."""
        path = self._rejected_path
        if path is None:
            yield None
            return
        resumed = self._state.rejected_bytes > 0 and path.exists()
        with path.open("r+" if resumed else "w", newline="", encoding="utf-8") as stream:
            if resumed:
                stream.truncate(self._state.rejected_bytes)
                stream.seek(0, os.SEEK_END)
            else:
                csv.writer(stream).writerow(REJECTED_COLUMNS)
            yield stream

    def _save(self) -> None:
        path = self.checkpoint_path
        if path is not None:
            partial = path.with_name(f"{path.name}.partial")
            partial.write_text(json.dumps(asdict(self._state)))
            partial.replace(path)

    def _foreign(self, path: Path) -> CliError:
        return CliError(
            f"{path} notes an interrupted import of another file or with other options.",
            hint="Finish that one with its own options, or start afresh with --restart.",
            exit_code=ExitCode.CONFLICT,
        )


def _refusals(error: ApiError, count: int) -> dict[int, Rejection] | None:
    """Find which events of a batch were refused and why; None when the answer does not say."""
    found: dict[int, Rejection] = {}
    for item in error.errors:
        index = item.get("index")
        if index is None:
            match = _INDEX.match(str(item.get("field") or ""))
            index = int(match[1]) if match else None
        if isinstance(index, int) and 0 <= index < count:
            told = Rejection(
                0,
                str(item.get("reason") or error.reason),
                str(item.get("field") or ""),
                str(item.get("detail") or error.detail),
            )
            found.setdefault(index, told)
    if found:
        return found
    if count == 1:
        return {0: Rejection(0, error.reason, str(error.field or ""), error.detail)}
    return None


def _row_text(row: Row) -> str:
    return json.dumps(row.values, ensure_ascii=False) if row.values else ""


def _flushed_size(stream: IO[str] | None) -> int:
    if stream is None:
        return 0
    stream.flush()
    return os.fstat(stream.fileno()).st_size
