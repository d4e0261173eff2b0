"""Turn a row into a usage event by the rules of `--map`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode

ATTRIBUTES = ("id", "subject", "time", "type", "source")
DATA = "data"
DEFAULT_SOURCE = "import"
# How tables write that there is nothing.
ABSENT = frozenset({"", "NA", "N/A", "NULL", "null"})
_PLACEHOLDER = re.compile(r"\{([^{}:]+)(?::0?(\d{1,2}))?\}")
_FUNCTION = re.compile(r"(missing|present)\((.+)\)")
_MILLISECOND_DIGITS = 12

Value = Callable[[Mapping[str, Any]], Any]


class RowError(Exception):
    """One row that makes no event; the import goes on without it."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.field = field
        self.detail = detail


@dataclass(frozen=True)
class Rule:
    """One `--map target=origin`: the columns that it reads and how."""

    target: str
    origin: str
    columns: tuple[str, ...]
    value: Value

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Read a rule.

        The target is id, subject, time, type, source or data.NAME. The origin is a column, a
        text with columns in braces ({month:02} fills a number with zeros), or missing(COLUMN)
        and present(COLUMN), which are true or false.
        Raises: CliError naming the rule.
        """
        target, equals, origin = text.partition("=")
        is_data = target.startswith(f"{DATA}.") and all(target.split("."))
        if not equals or not origin or not (is_data or target in ATTRIBUTES):
            raise CliError(
                f"--map {text} is no rule.",
                hint="Write TARGET=COLUMN; targets are id, subject, time, type, source, data.NAME.",
                exit_code=ExitCode.USAGE,
            )
        if function := _FUNCTION.fullmatch(origin):
            wanted, column = function[1] == "present", function[2]
            return cls(target, origin, (column,), lambda row: _is_present(row, column) is wanted)
        placeholders = tuple(match[1] for match in _PLACEHOLDER.finditer(origin))
        if placeholders:
            return cls(target, origin, placeholders, lambda row: _fill(origin, row))
        return cls(target, origin, (origin,), lambda row: _plain(row, origin))


class EventMapping:
    """All rules of one import.

    An attribute without a rule is what the command line says for all rows, else the column of
    its name. Without a rule for data, every column that is not an attribute is data.
    """

    def __init__(
        self,
        rules: Iterable[str],
        *,
        event_type: str = "",
        source: str = "",
        zone: tzinfo = UTC,
        identity: str = "",
        time_is_now: bool = False,
    ) -> None:
        parsed = [Rule.parse(rule) for rule in rules]
        self._attributes = {rule.target: rule for rule in parsed if rule.target in ATTRIBUTES}
        self._data = [rule for rule in parsed if rule.target not in ATTRIBUTES]
        self._fixed = {"type": event_type, "source": source}
        self._zone = zone
        self._identity = identity
        self._time_is_now = time_is_now
        self._read = {column for rule in self._attributes.values() for column in rule.columns}

    def event(self, line: int, row: Mapping[str, Any]) -> dict[str, Any]:
        """Make the event of one row.

        Raises: RowError.
        """
        found = {name: self._attribute(name, row) for name in ATTRIBUTES}
        if found["id"] is None and self._identity:
            found["id"] = f"{self._identity}:{line}"
        if found["source"] is None:
            found["source"] = DEFAULT_SOURCE
        if self._time_is_now:
            del found["time"]
        for name, value in found.items():
            if value is None:
                raise RowError(f"{name.upper()}_MISSING", name, f"the row has no {name}")
        event = {"specversion": "1.0", **{name: str(value) for name, value in found.items()}}
        if "time" in event:
            event["time"] = _instant(event["time"], self._zone)
        return {**event, DATA: self._data_of(row)}

    def check_columns(self, columns: Iterable[str]) -> None:
        """Check that every column which a rule reads is there, and that events can be made.

        Raises: CliError naming what lacks and the columns that there are.
        """
        there = list(columns)
        for rule in (*self._attributes.values(), *self._data):
            for column in rule.columns:
                if column not in there:
                    raise _no_column(f"--map {rule.target}={rule.origin}: no {column!r}", there)
        given = {"id": self._identity, "time": self._time_is_now, "type": self._fixed["type"]}
        for name in ("id", "subject", "time", "type"):
            if not given.get(name) and name not in self._attributes and name not in there:
                raise _no_column(f"Nothing says what an event's {name} is", there)

    def _attribute(self, name: str, row: Mapping[str, Any]) -> Any:
        if name in self._attributes:
            return self._attributes[name].value(row)
        return self._fixed.get(name) or _plain(row, name)

    def _data_of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if self._data:
            for rule in self._data:
                value = rule.value(row)
                if value is not None:
                    _put(data, rule.target.split(".")[1:], value)
            return data
        if isinstance(row.get(DATA), Mapping):
            return dict(row[DATA])
        for name in row:
            is_attribute = name in self._read or name in ATTRIBUTES or name == "specversion"
            value = _plain(row, name)
            if not is_attribute and value is not None:
                data[name] = value
        return data


def _plain(row: Mapping[str, Any], column: str) -> Any:
    value = row.get(column)
    return None if isinstance(value, str) and value in ABSENT else value


def _is_present(row: Mapping[str, Any], column: str) -> bool:
    return _plain(row, column) is not None


def _fill(template: str, row: Mapping[str, Any]) -> str | None:
    """Put columns into a text; nothing at all when one of them is absent."""
    absent = False

    def replace(match: re.Match[str]) -> str:
        nonlocal absent
        value = _plain(row, match[1])
        absent = absent or value is None
        return str(value).zfill(int(match[2] or 0))

    filled = _PLACEHOLDER.sub(replace, template)
    return None if absent else filled


def _put(data: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
    data[path[-1]] = value


def _instant(text: str, zone: tzinfo) -> str:
    """Write an instant as RFC 3339 in UTC; a time without a zone is read in the import's.

    Raises: RowError.
    """
    try:
        if text.isascii() and text.isdecimal():
            seconds, milliseconds = int(text), 0
            if len(text) > _MILLISECOND_DIGITS:
                seconds, milliseconds = divmod(seconds, 1000)
            moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError) as error:
        detail = f"{text!r} is no instant such as 2026-01-31T12:00:00Z"
        raise RowError("TIME_INVALID", "time", detail) from error


def _no_column(problem: str, columns: list[str]) -> CliError:
    return CliError(
        f"{problem}. The columns are: {', '.join(columns)}.",
        hint="Say it with --map TARGET=COLUMN; --type and --source are the same for all rows, "
        "and --now takes the time of the import.",
        exit_code=ExitCode.USAGE,
    )
