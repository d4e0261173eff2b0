"""CSV, plain or in a zip: a column a currency, or a rate a row."""

import csv
import io
import zipfile
from collections.abc import Iterator

from billplane.exchange_rate.domain import Quotation
from billplane.exchange_rate.errors import SourceUnreadable
from billplane.exchange_rate.providers.base import parse_day, parse_rate
from billplane.resources.exchange_rate_feed import CsvSource

TABLE_BYTES_MAX = 64 * 1024 * 1024
_ABSENT = {"", "N/A", "-"}


def parse(
    body: bytes, source: CsvSource, base: str, currencies: tuple[str, ...]
) -> list[Quotation]:
    """Read the table.

    Raises: SourceUnreadable naming the row.
    """
    try:
        text = _table(body, source.member).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceUnreadable("the table is not UTF-8") from None
    rows = csv.DictReader(io.StringIO(text))
    read = _wide(rows, currencies) if source.wide else _long(rows, source, base)
    try:
        found = list(read)
    except csv.Error as error:
        raise SourceUnreadable(f"row {rows.line_num}: {error}") from None
    if not found:
        raise SourceUnreadable("the table holds none of the feed's currencies")
    return found


def _table(body: bytes, member: str | None) -> bytes:
    if not body.startswith(b"PK\x03\x04"):
        return body
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            wanted = member or (names[0] if len(names) == 1 else "")
            if wanted not in names:
                raise SourceUnreadable(f"the zip holds {', '.join(names[:5])}; name one as member")
            if archive.getinfo(wanted).file_size > TABLE_BYTES_MAX:
                raise SourceUnreadable(f"{wanted} is longer than {TABLE_BYTES_MAX} bytes")
            return archive.read(wanted)
    except zipfile.BadZipFile:
        raise SourceUnreadable("the zip is damaged") from None


def _wide(rows: "csv.DictReader[str]", currencies: tuple[str, ...]) -> Iterator[Quotation]:
    names = [name.strip() for name in rows.fieldnames or ()]
    if not names:
        raise SourceUnreadable("the table is empty")
    day_column, wanted = names[0], [name for name in currencies if name in names]
    rows.fieldnames = names
    for row in rows:
        as_of = parse_day(row[day_column] or "", f"row {rows.line_num}")
        for quote in wanted:
            text = (row[quote] or "").strip()
            if text not in _ABSENT:
                rate = parse_rate(text, f"row {rows.line_num}, {quote}")
                yield Quotation(quote, rate, as_of)


def _long(rows: "csv.DictReader[str]", source: CsvSource, base: str) -> Iterator[Quotation]:
    mapping = source.mapping
    if mapping is None:
        raise SourceUnreadable("the feed names no columns")
    for row in rows:
        where = f"row {rows.line_num}"
        for column in (mapping.date, mapping.quote, mapping.rate):
            if row.get(column) is None:
                raise SourceUnreadable(f"{where}: there is no column {column!r}")
        if mapping.base and (row.get(mapping.base) or "").strip() != base:
            continue
        text = row[mapping.rate].strip()
        if text not in _ABSENT:
            yield Quotation(
                row[mapping.quote].strip(),
                parse_rate(text, where),
                parse_day(row[mapping.date], where),
            )
