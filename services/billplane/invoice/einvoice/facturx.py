"""What makes a PDF/A-3 with its XML attached a Factur-X: the properties in its XMP.

They are added as an incremental update, the way of ISO 32000: what typst wrote stays byte for
byte, and a newer metadata stream follows it.

Source: Factur-X 1.0.07, section 6.2; ISO 32000-1, 7.5.6; ISO 19005-3, 6.6.2.3.
"""

import re
from typing import Final

ATTACHMENT: Final = "factur-x.xml"
_SPACE: Final = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES: Final = (
    ("DocumentFileName", ATTACHMENT, "name of the embedded XML invoice file"),
    ("DocumentType", "INVOICE", "INVOICE"),
    ("Version", "1.0", "version of the XML schema"),
    ("ConformanceLevel", "EN 16931", "conformance level of the XML invoice"),
)
_START: Final = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*\Z")
_PACKET: Final = re.compile(rb"stream\r?\n(.*)\r?\nendstream", re.DOTALL)
_METADATA: Final = re.compile(rb"/Metadata (\d+) 0 R")
_ROOT: Final = re.compile(rb"/Root (\d+) 0 R")
_TRAILER: Final = re.compile(rb"trailer\s*<<(.*)>>\s*startxref", re.DOTALL)
_DECLARED: Final = b"</rdf:Bag></pdfaExtension:schemas>"
_END: Final = b"</rdf:RDF>"


class NotMarkable(ValueError):
    """The PDF is not as typst writes archives."""


def mark_facturx(pdf: bytes) -> bytes:
    """Return the PDF with the properties of Factur-X in its metadata.

    Raises: NotMarkable.
    """
    start = int(_found(_START, pdf).group(1))
    trailer = _found(_TRAILER, pdf[start:]).group(1)
    catalog = _object(pdf, _found(_ROOT, trailer).group(1))
    number = _found(_METADATA, catalog).group(1)
    packet = _marked(_found(_PACKET, _object(pdf, number)).group(1))
    body = pdf if pdf.endswith(b"\n") else pdf + b"\n"
    head = b"%s 0 obj\n<</Length %d/Type/Metadata/Subtype/XML>>\n" % (number, len(packet))
    update = head + b"stream\n" + packet + b"\nendstream\nendobj\n"
    table = b"xref\n%s 1\n%010d 00000 n\r\ntrailer\n<<%s/Prev %d>>\nstartxref\n%d\n%%%%EOF\n"
    return body + update + table % (number, len(body), trailer, start, len(body) + len(update))


def _marked(packet: bytes) -> bytes:
    """Declare the properties beside those that typst declares, and give their values."""
    for place, text in ((_DECLARED, _declaration()), (_END, _values())):
        before, found, after = packet.rpartition(place)
        if not found:
            raise NotMarkable(f"the metadata has no {place.decode()}")
        packet = before + text.encode() + found + after
    return packet


def _declaration() -> str:
    declared = "".join(
        '<rdf:li rdf:parseType="Resource">'
        f"<pdfaProperty:name>{name}</pdfaProperty:name>"
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType>"
        "<pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{meaning}</pdfaProperty:description></rdf:li>"
        for name, _, meaning in _PROPERTIES
    )
    return (
        '<rdf:li rdf:parseType="Resource">'
        "<pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>"
        f"<pdfaSchema:namespaceURI>{_SPACE}</pdfaSchema:namespaceURI>"
        "<pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{declared}</rdf:Seq></pdfaSchema:property></rdf:li>"
    )


def _values() -> str:
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, value, _ in _PROPERTIES)
    return f'<rdf:Description rdf:about="" xmlns:fx="{_SPACE}">{values}</rdf:Description>'


def _object(pdf: bytes, number: bytes) -> bytes:
    """Return an object as it stands in the file."""
    found = re.search(rb"[\r\n]%s 0 obj\b" % number, pdf)
    if found is None:
        raise NotMarkable("the PDF keeps its catalog or its metadata in an object stream")
    return pdf[found.start() : pdf.index(b"endobj", found.end())]


def _found(pattern: re.Pattern[bytes], text: bytes) -> re.Match[bytes]:
    found = pattern.search(text)
    if found is None:
        raise NotMarkable(f"the PDF has no {pattern.pattern!r}")
    return found
