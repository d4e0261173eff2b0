"""A judge of archives: what ISO 19005-3 (PDF/A-3) and Factur-X want of a file's structure.

Read with pypdf and lxml, knowing nothing of how the file was made. It does not draw the pages, so
that it cannot tell whether a font's glyphs have the widths that are said of them.

Source: ISO 19005-3:2012, the clauses named below; Factur-X 1.0.07, 6.2 and 6.3.
"""

import re
from io import BytesIO

from pypdf import PdfReader
from pypdf.generic import ContentStream, DictionaryObject, NameObject, StreamObject

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SCHEMA = "http://www.aiim.org/pdfa/ns/schema#"
_PROPERTY = "http://www.aiim.org/pdfa/ns/property#"
_PDFAID = "http://www.aiim.org/pdfa/ns/id/"
_DC = "http://purl.org/dc/elements/1.1/"
_FX = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
# What XMP of PDF/A may say without declaring it (6.6.2.3.1).
_PREDEFINED = {
    _DC,
    _PDFAID,
    "http://ns.adobe.com/xap/1.0/",
    "http://ns.adobe.com/xap/1.0/mm/",
    "http://ns.adobe.com/xap/1.0/rights/",
    "http://ns.adobe.com/xap/1.0/t/pg/",
    "http://ns.adobe.com/pdf/1.3/",
    "http://www.aiim.org/pdfa/ns/extension/",
}
_FILTERS = {
    "/FlateDecode", "/DCTDecode", "/ASCIIHexDecode", "/ASCII85Decode", "/RunLengthDecode",
    "/CCITTFaxDecode", "/JBIG2Decode", "/JPXDecode",
}  # fmt: skip
_BLEND = {
    "/Normal", "/Compatible", "/Multiply", "/Screen", "/Overlay", "/Darken", "/Lighten",
    "/ColorDodge", "/ColorBurn", "/HardLight", "/SoftLight", "/Difference", "/Exclusion", "/Hue",
    "/Saturation", "/Color", "/Luminosity",
}  # fmt: skip
_ACTIONS = {"/GoTo", "/GoToR", "/GoToE", "/Thread", "/URI", "/Named", "/SubmitForm"}
_BASE_14 = re.compile(r"^/(Helvetica|Times|Courier|Symbol|ZapfDingbats)")


def faults(pdf, xml):
    """List what a PDF lacks to be a Factur-X in PDF/A-3 that carries the XML."""
    reader = PdfReader(BytesIO(pdf))
    catalog = reader.trailer["/Root"]
    found = [*_file(pdf, reader), *_metadata(reader, catalog), *_attached(catalog, xml)]
    found += _colours(catalog)
    for number in _objects(reader):
        found += _object(reader.get_object(number), number)
    for number, page in enumerate(reader.pages, 1):
        found += [f"page {number}: {fault}" for fault in _page(page, reader)]
    return found


def _objects(reader):
    """Return the number of every object of the file, in the order of its tables."""
    numbers = {number for table in reader.xref.values() for number in table}
    return sorted((numbers | set(reader.xref_objStm)) - {0})


def _file(pdf, reader):
    """6.1.2 header, 6.1.3 trailer."""
    head = pdf.split(b"\n", 2)
    if not re.fullmatch(rb"%PDF-1\.[0-7]\r?", head[0]):
        yield f"6.1.2: the header is {head[0]!r}"
    if head[1][:1] != b"%" or sum(byte > 127 for byte in head[1][1:5]) < 4:
        yield "6.1.2: no comment of four bytes above 127 follows the header"
    if reader.is_encrypted or "/Encrypt" in reader.trailer:
        yield "6.1.3: it is encrypted"
    if len(reader.trailer.get("/ID", [])) != 2:
        yield "6.1.3: the trailer has no ID"
    if pdf[pdf.rindex(b"%%EOF") + 5 :].strip(b"\r\n"):
        yield "6.1.3: something follows the end"


def _metadata(reader, catalog):
    """6.6.2 metadata, 6.6.4 version and conformance, Factur-X 6.2."""
    from lxml import etree

    stream = catalog["/Metadata"].get_object()
    if "/Filter" in stream:
        yield "6.6.2.1: the metadata is filtered"
    packet = stream.get_data()
    if re.search(rb"<\?xpacket begin=[^>]*(bytes|encoding)=", packet):
        yield "6.6.2.1: the packet's header has a deprecated attribute"
    root = etree.fromstring(packet[packet.index(b"<x:xmpmeta") : packet.rindex(b"<?xpacket")])
    said = {}
    for description in root.iter(f"{{{_RDF}}}Description"):
        said |= {name: value for name, value in description.attrib.items() if "}" in name}
        said |= {child.tag: "".join(child.itertext()).strip() for child in description}
    said.pop(f"{{{_RDF}}}about", None)
    if said.get(f"{{{_PDFAID}}}part") != "3":
        yield "6.6.4: the metadata does not say part 3"
    if said.get(f"{{{_PDFAID}}}conformance") not in ("A", "B", "U"):
        yield "6.6.4: the metadata names no level of conformance"
    yield from _undeclared(root, said)
    fx = {"DocumentType": "INVOICE", "DocumentFileName": "factur-x.xml", "Version": "1.0",
          "ConformanceLevel": "EN 16931"}  # fmt: skip
    for name, value in fx.items():
        if said.get(f"{{{_FX}}}{name}") != value:
            yield f"Factur-X 6.2: {name} is {said.get(f'{{{_FX}}}{name}')}"
    info = reader.metadata or {}
    pairs = (("/Title", f"{{{_DC}}}title"), ("/Author", f"{{{_DC}}}creator"),
             ("/Producer", "{http://ns.adobe.com/pdf/1.3/}Producer"),
             ("/Creator", "{http://ns.adobe.com/xap/1.0/}CreatorTool"))  # fmt: skip
    for key, name in pairs:
        if key in info and str(info[key]) != said.get(name):
            yield f"6.6.3: {key} is {info[key]!r}, the metadata says {said.get(name)!r}"


def _undeclared(root, said):
    """6.6.2.3 extension schemas."""
    from lxml import etree

    declared = {}
    for item in root.iter(f"{{{_RDF}}}li"):
        space = item.findtext(f"{{{_SCHEMA}}}namespaceURI")
        if space:
            names = item.iter(f"{{{_PROPERTY}}}name")
            declared.setdefault(space, set()).update(name.text for name in names)
    for name in said:
        tag = etree.QName(name)
        own = tag.localname in declared.get(tag.namespace, ())
        if tag.namespace not in _PREDEFINED and not own:
            yield f"6.6.2.3: {name} is not declared"


def _attached(catalog, xml):
    """6.8 embedded files, Factur-X 6.3."""
    named = catalog.get("/Names", {}).get("/EmbeddedFiles", {}).get("/Names", [])
    files = [item.get_object() for item in catalog.get("/AF", [])]
    if len(files) != 1 or [item.get_object() for item in named[1::2]] != files:
        yield "6.8: the catalog's /AF and its names do not tell of one file"
        return
    (file,) = files
    if file.get("/Type") != "/Filespec" or {file.get("/F"), file.get("/UF")} != {"factur-x.xml"}:
        yield "6.8: the file has not its name in both forms"
    if file.get("/AFRelationship") not in ("/Alternative", "/Data", "/Source"):
        yield f"6.8: the relationship is {file.get('/AFRelationship')}"
    stream = file["/EF"]["/F"].get_object()
    if stream.get("/Subtype") != "/text/xml":
        yield f"6.8: the file's type is {stream.get('/Subtype')}"
    if "/ModDate" not in stream.get("/Params", {}):
        yield "6.8: the file has no date"
    if stream.get_data() != xml:
        yield "Factur-X 6.3: the file is not the e-invoice"


def _colours(catalog):
    """6.2.3 output intent."""
    intents = [item.get_object() for item in catalog.get("/OutputIntents", [])]
    wanted = [item for item in intents if item.get("/S") == "/GTS_PDFA1"]
    if len(wanted) != 1:
        yield "6.2.3: there is no output intent"
        return
    profile = wanted[0]["/DestOutputProfile"].get_object()
    data = profile.get_data()
    if data[36:40] != b"acsp" or data[8] > 4 or data[12:16] not in (b"mntr", b"prtr"):
        yield "6.2.3: the output intent's profile is none of ICC up to version 4"
    if (profile["/N"], data[16:20]) != (3, b"RGB "):
        yield f"6.2.3: the profile is of {data[16:20]!r}"


def _object(item, number):
    """What no object of the file may be or hold."""
    if isinstance(item, StreamObject):
        yield from _stream(item, number)
    if not isinstance(item, DictionaryObject):
        return
    if "/JavaScript" in item or "/JS" in item or "/AA" in item:
        yield f"6.5: object {number} acts by itself"
    if item.get("/Type") == "/Action" and item.get("/S") not in _ACTIONS:
        yield f"6.5.1: object {number} is the action {item.get('/S')}"
    if item.get("/Type") == "/ExtGState":
        if "/TR" in item or item.get("/TR2", "/Default") != "/Default":
            yield f"6.2.5: object {number} has a transfer function"
        modes = item.get("/BM", NameObject("/Normal"))
        for mode in modes if isinstance(modes, list) else [modes]:
            if mode not in _BLEND:
                yield f"6.2.10: object {number} blends by {mode}"
    if item.get("/Type") == "/Font":
        yield from _font(item, number)


def _stream(item, number):
    """6.1.7 streams, 6.2.8 images, 6.2.9 forms."""
    if {"/F", "/FFilter", "/FDecodeParms"} & set(item):
        yield f"6.1.7.1: object {number} is outside of the file"
    filters = item.get("/Filter", [])
    for name in filters if isinstance(filters, list) else [filters]:
        if name not in _FILTERS:
            yield f"6.1.7.2: object {number} has the filter {name}"
    if item.get("/Subtype") == "/Image" and item.get("/Interpolate"):
        yield f"6.2.8: image {number} is interpolated"
    if item.get("/Subtype") == "/PS" or {"/OPI", "/Alternates"} & set(item):
        yield f"6.2.8, 6.2.9: object {number} has what is not allowed"


def _font(font, number):
    """6.2.11 fonts."""
    name = font.get("/BaseFont", "")
    if font["/Subtype"] == "/Type0":
        (inner,) = (part.get_object() for part in font["/DescendantFonts"])
        if font["/Encoding"] not in ("/Identity-H", "/Identity-V"):
            yield f"6.2.11.3: font {number} has the encoding {font['/Encoding']}"
        if inner["/Subtype"] == "/CIDFontType2" and "/CIDToGIDMap" not in inner:
            yield f"6.2.11.3: font {number} has no map of its glyphs"
        if "/ToUnicode" not in font:
            yield f"6.2.11.7: the text of font {number} cannot be read"
        return
    if font["/Subtype"] == "/Type3":
        return
    described = font.get("/FontDescriptor", {})
    if not {"/FontFile", "/FontFile2", "/FontFile3"} & set(described):
        standard = ", one of the fourteen" if _BASE_14.match(name) else ""
        yield f"6.2.11.4: font {number} {name} is not embedded{standard}"
    if "/W" not in font and "/Widths" not in font:
        yield f"6.2.11.5: font {number} says no widths"


def _page(page, reader):
    """6.2.2 content, 6.2.4 colour, 6.3 annotations."""
    for operands, operator in ContentStream(page.get_contents(), reader).operations:
        if operator in (b"k", b"K"):
            yield "6.2.4.3: CMYK where the output intent is RGB"
        if operator in (b"cs", b"CS") and operands[0] == "/DeviceCMYK":
            yield "6.2.4.3: CMYK where the output intent is RGB"
        if operator == b"ri" and operands[0] not in (
            "/RelativeColorimetric", "/AbsoluteColorimetric", "/Perceptual", "/Saturation",
        ):  # fmt: skip
            yield f"6.2.6: the rendering intent {operands[0]}"
    group = page.get("/Group", {})
    if group.get("/S") == "/Transparency" and group.get("/CS") == "/DeviceCMYK":
        yield "6.2.10: its transparency is blended in CMYK"
    for item in page.get("/Annots", []):
        annotation = item.get_object()
        if annotation["/Subtype"] != "/Popup" and annotation.get("/F", 0) & 0b101111 != 0b100:
            yield f"6.3.2: an annotation has the flags {annotation.get('/F')}"
        if annotation["/Subtype"] not in ("/Link", "/Popup") and "/AP" not in annotation:
            yield "6.3.3: an annotation has no appearance"
