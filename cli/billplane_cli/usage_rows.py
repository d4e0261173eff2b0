"""Rows of usage from files of any size: CSV or JSON lines, plain, gzip, in a zip, or piped."""

import csv
import gzip
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode

STANDARD_INPUT = "-"
_CHUNK_BYTES = 1 << 20
_LINE_CHARACTERS_MAX = 1 << 20


@dataclass(frozen=True)
class Row:
    """One record and the line of the text that it ends on."""

    line: int
    values: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class RowSource:
    """Where rows come from."""

    path: str
    member: str | None = None
    delimiter: str = ","
    json_lines: bool | None = None

    @property
    def is_file(self) -> bool:
        """Tell whether it can be read again from its start."""
        return self.path != STANDARD_INPUT

    def digest(self) -> str:
        """Give the SHA-256 of the file, and the member's name if it has several.

        Raises: CliError.
        """
        digest = hashlib.sha256()
        with self._open_file() as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest() + (f"/{self.member}" if self.member else "")

    @contextmanager
    def open(self) -> Iterator["OpenRows"]:
        """Open the rows for one pass.

        Raises: CliError.
        """
        with self._open_bytes() as (stream, position, total):
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            rows = self._json_rows(text) if self._is_json_lines() else self._csv_rows(text)
            yield OpenRows(rows, position, total)
            text.detach()

    def _is_json_lines(self) -> bool:
        if self.json_lines is not None:
            return self.json_lines
        name = (self.member or self.path).removesuffix(".gz").removesuffix(".zip")
        return name.endswith((".jsonl", ".ndjson"))

    @contextmanager
    def _open_bytes(
        self,
    ) -> Iterator[tuple[IO[bytes], Callable[[], int], int | None]]:
        if not self.is_file:
            yield sys.stdin.buffer, lambda: 0, None
            return
        with self._open_file() as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    member = self._member_of(archive)
                    with archive.open(member) as stream:
                        yield stream, stream.tell, member.file_size
                return
            file.seek(0)
            total = Path(self.path).stat().st_size
            if file.read(2) == b"\x1f\x8b":
                file.seek(0)
                with gzip.open(file) as unpacked:
                    yield unpacked, file.tell, total  # type: ignore[misc]
            else:
                file.seek(0)
                yield file, file.tell, total

    def _open_file(self) -> IO[bytes]:
        try:
            return Path(self.path).open("rb")
        except OSError as error:
            raise CliError(
                f"{self.path} cannot be read: {error.strerror}.", exit_code=ExitCode.NOT_FOUND
            ) from error

    def _member_of(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        files = [info for info in archive.infolist() if not info.is_dir()]
        named = [info for info in files if self.member in {None, info.filename}]
        if len(named) != 1:
            names = ", ".join(info.filename for info in files) or "nothing"
            raise CliError(
                f"{self.path} holds {names}.",
                hint="Say which one to import with --member NAME.",
                exit_code=ExitCode.USAGE,
            )
        return named[0]

    def _csv_rows(self, text: IO[str]) -> Iterator[Row]:
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        try:
            header = next(reader, [])
            if len(set(header)) < len(header):
                raise self._unreadable(1, "two columns have the same name")
            for values in reader:
                if len(values) == len(header):
                    yield Row(reader.line_num, dict(zip(header, values, strict=True)))
                elif values:
                    problem = f"the row has {len(values)} fields, the header {len(header)}"
                    yield Row(reader.line_num, {}, problem)
        except (csv.Error, UnicodeDecodeError) as error:
            raise self._unreadable(reader.line_num, error) from error

    def _json_rows(self, text: IO[str]) -> Iterator[Row]:
        number = 0
        try:
            while line := text.readline(_LINE_CHARACTERS_MAX):
                number += 1
                if not line.strip():
                    continue
                # A number keeps its digits: it is sent on as it was written.
                row = json.loads(line, parse_float=str)
                if not isinstance(row, dict):
                    raise self._unreadable(number, "a line must be a JSON object")
                yield Row(number, row)
        except (ValueError, RecursionError) as error:
            raise self._unreadable(number, error) from error

    def _unreadable(self, line: int, error: object) -> CliError:
        return CliError(
            f"{self.path}, after line {line}: {error}.",
            hint="The file is not what --delimiter or its name says.",
            exit_code=ExitCode.INVALID,
        )


@dataclass(frozen=True)
class OpenRows:
    """One pass over the rows, with how far it is; `total` is None for a pipe."""

    rows: Iterator[Row]
    position: Callable[[], int]
    total: int | None
