"""Answers that are files."""

from fastapi import Response

from billplane.invoice.service.einvoicing import Xml
from billplane.invoice.service.printing import Pdf


def pdf_answer(pdf: Pdf) -> Response:
    """Answer with a PDF that browsers show."""
    headers = {"Content-Disposition": f'inline; filename="{pdf.name}.pdf"'}
    return Response(pdf.content, media_type="application/pdf", headers=headers)


def xml_answer(xml: Xml) -> Response:
    """Answer with an e-invoice to be stored."""
    headers = {"Content-Disposition": f'attachment; filename="{xml.name}.xml"'}
    return Response(xml.content, media_type="application/xml", headers=headers)
