"""The only place that writes: data to standard output, words for people to standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import IO, Any, Protocol

import iso4217
import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from billplane_cli.errors import CliError

# Wide enough that a pipe never sees a cut line; a terminal has its own width.
_PIPE_COLUMNS = 10_000


class Format(StrEnum):
    """How data is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading and where its value is."""

    heading: str
    value: str | Callable[[Mapping[str, Any]], Any]
    right: bool = False

    def of(self, row: Mapping[str, Any]) -> str:
        """Give the text of this column in one row."""
        found = self.value(row) if callable(self.value) else _dig(row, self.value)
        return _text(found)


class Meter(Protocol):
    """What a long piece of work tells of its progress."""

    def __call__(self, completed: int, note: str) -> None:
        """Say how far it is and what to show beside the bar."""


class Output:
    """Write in one format to two streams."""

    def __init__(
        self,
        output_format: Format = Format.TABLE,
        stdout: IO[str] | None = None,
        stderr: IO[str] | None = None,
    ) -> None:
        self.format = output_format
        self._out = _console(stdout or sys.stdout)
        self._err = _console(stderr or sys.stderr)

    def show(self, value: Mapping[str, Any], columns: Sequence[Column] | None = None) -> None:
        """Write one object; a table has a line for each of its fields."""
        if self.format is not Format.TABLE:
            self._write_document(value)
            return
        shown = columns or [Column(name, name) for name in value]
        table = _table()
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for column in shown:
            text = column.of(value)
            if text:
                table.add_row(escape(column.heading), escape(text))
        self._print_table(table)

    def show_list(
        self,
        rows: Iterable[Mapping[str, Any]],
        columns: Sequence[Column],
        empty: str = "Nothing found.",
    ) -> None:
        """Write a list of objects; a table has a line for each of them."""
        if self.format is not Format.TABLE:
            self._write_document(list(rows))
            return
        table = _table(header=True)
        for column in columns:
            justify = "right" if column.right else "left"
            table.add_column(column.heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for row in rows:
            table.add_row(*[escape(column.of(row)) for column in columns])
        if table.row_count:
            self._print_table(table)
        else:
            self.say(empty)

    def raw(self, text: str) -> None:
        """Write text as it is."""
        self._out.file.write(text)
        self._out.file.flush()

    def raw_bytes(self, content: bytes) -> None:
        """Write bytes as they are, for a pipe into another program."""
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()

    @property
    def is_terminal(self) -> bool:
        """Tell whether a person reads the standard output."""
        return self._out.is_terminal

    def say(self, text: str) -> None:
        """Tell a person something that is not data."""
        self._err.print(escape(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Tell a person of something that may be a mistake."""
        self._err.print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=True)

    def fail(self, error: CliError) -> None:
        """Tell a person what failed and what to do."""
        self._err.print(f"[red]Error:[/red] {escape(error.message)}", soft_wrap=True)
        if error.hint:
            self._err.print(escape(error.hint), soft_wrap=True)

    @contextmanager
    def working(self, text: str) -> Iterator[Callable[[str], None]]:
        """Tell that something is going on, in a moving line of a terminal or in lines of a log.

        The block may change the words.
        """
        if not self._err.is_terminal:
            self.say(text)
            yield self.say
            return
        with self._err.status(escape(text)) as status:
            yield lambda words: status.update(escape(words))

    @contextmanager
    def progress(self, text: str, total: int | None) -> Iterator[Meter]:
        """Show a bar with its rate on a terminal, and nothing elsewhere."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
        )
        shown = self._err.is_terminal
        with Progress(*columns, console=self._err, disable=not shown, transient=True) as bar:
            task = bar.add_task(text, total=total, note="")
            yield lambda completed, note: bar.update(task, completed=completed, note=note)

    def _print_table(self, table: Table) -> None:
        if self.is_terminal:
            self._out.print(table)
            return
        # Without the spaces that fill the last column, which a program would have to cut off.
        with self._out.capture() as captured:
            self._out.print(table)
        self.raw("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

    def _write_document(self, value: Any) -> None:
        if self.format is Format.JSON:
            self.raw(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        else:
            self.raw(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def money(minor_field: str, currency_field: str = "currency_code") -> Callable[..., str]:
    """Make the value of a column from minor units and their currency."""

    def of(row: Mapping[str, Any]) -> str:
        minor, currency = row.get(minor_field), row.get(currency_field)
        return "" if minor is None or not currency else format_money(int(minor), str(currency))

    return of


def format_money(minor: int, currency: str) -> str:
    """Write minor units as an amount: 4900, EUR → 49.00 EUR."""
    try:
        exponent = iso4217.Currency(currency).exponent or 0
    except ValueError:
        return f"{minor} minor units of {currency}"
    return f"{Decimal(minor).scaleb(-exponent):,f} {currency}"


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(file=stream, width=width, highlight=False, emoji=False)


def _table(*, header: bool = False) -> Table:
    return Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 2))


def _dig(row: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(row, Mapping):
            return None
        row = row.get(part)
    return row


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {_text(part)}" for name, part in value.items() if part)
    if isinstance(value, list | tuple):
        return "\n".join(_text(part) for part in value)
    return str(value)
