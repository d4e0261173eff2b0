"""The European Central Bank's reference rates, or a file of their form.

Source: ECB, "Euro foreign exchange reference rates", eurofxref XML.
"""

from xml.etree import ElementTree

from billplane.exchange_rate.domain import Quotation
from billplane.exchange_rate.errors import SourceUnreadable
from billplane.exchange_rate.providers.base import parse_day, parse_rate

URLS = {
    "Daily": "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml",
    "Last90Days": "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist-90d.xml",
    "Historical": "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.xml",
}
BASE = "EUR"


def parse(body: bytes) -> list[Quotation]:
    """Read the Cube elements: one a day, one a currency within it.

    Raises: SourceUnreadable.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise SourceUnreadable("the document declares entities")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - entities are refused above
    except ElementTree.ParseError as error:
        raise SourceUnreadable(f"the answer is not XML: {error}") from None
    found = []
    for day in root.iter():
        time = day.get("time")
        if time is None:
            continue
        as_of = parse_day(time, "Cube time")
        for cube in day:
            quote, rate = cube.get("currency"), cube.get("rate")
            if quote and rate:
                found.append(Quotation(quote, parse_rate(rate, f"{quote} {time}"), as_of))
    if not found:
        raise SourceUnreadable("the answer holds no rates")
    return found
