"""Wordings: ours in some languages, a tenant's own in any, rendered where nothing can be done.

A tenant's template may name variables, choose by them and use a few filters. Loops, calls and
arithmetic are refused, so that no template can take long or grow without end.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from typing import Final

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.notification.errors import TemplateInvalid, TemplateNotFound
from billplane.notification.models import TemplateRow
from billplane.notification.repository import messages

READ: Final = "notifications:read"
WRITE: Final = "notifications:write"
BYTES_MAX: Final = 65_536
RENDERED_MAX: Final = 262_144
NAMES: Final = (
    "account_relink",
    "alert",
    "balance_low",
    "email_verification",
    "invoice_issued",
    "invoice_reminder",
    "password_reset",
    "payment_failed",
    "payment_receipt",
    "webhook_endpoint_disabled",
)
_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Filter,
    nodes.If, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Keyword,
    nodes.CondExpr,
)  # fmt: skip
_FILTERS: Final = frozenset({"capitalize", "default", "d", "e", "escape", "lower", "title",
                             "trim", "upper"})  # fmt: skip
_LOCALE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z")
_TEXT = ImmutableSandboxedEnvironment(autoescape=False, keep_trailing_newline=True)
_HTML = ImmutableSandboxedEnvironment(autoescape=True, keep_trailing_newline=True)


@dataclass(frozen=True, slots=True)
class Wording:
    """A template; without an html part that is made of the text."""

    subject: str
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as it goes out."""

    subject: str
    text: str
    html: str


def render(wording: Wording, variables: Mapping[str, str]) -> Rendered:
    """Fill a template in.

    Raises: TemplateInvalid.
    """
    try:
        subject = " ".join(_TEXT.from_string(wording.subject).render(variables).split())
        text = _TEXT.from_string(wording.text).render(variables).strip() or subject
        if wording.html:
            html = _HTML.from_string(wording.html).render(variables)
        else:
            html = _page(subject, text)
    except (TemplateError, TypeError, ValueError) as error:
        raise TemplateInvalid(f"the template cannot be filled in: {error}") from None
    if len(text) > RENDERED_MAX or len(html) > RENDERED_MAX:
        raise TemplateInvalid(f"a message has at most {RENDERED_MAX} characters")
    return Rendered(subject, text + "\n", html)


def check(part: str, source: str) -> None:
    """Refuse a template that cannot be read, or does more than a template may.

    Raises: TemplateInvalid naming the part.
    """
    if len(source.encode()) > BYTES_MAX:
        raise TemplateInvalid(f"at most {BYTES_MAX} bytes", field=f"/{part}")
    try:
        tree = _TEXT.parse(source)
    except TemplateSyntaxError as error:
        detail = f"line {error.lineno}: {error.message}"
        raise TemplateInvalid(detail, field=f"/{part}") from None
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            word = type(node).__name__.lower()
            raise TemplateInvalid(
                f"line {node.lineno}: a template may not use {word}", field=f"/{part}"
            )
        if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            raise TemplateInvalid(
                f"line {node.lineno}: there is no filter {node.name}; there are"
                f" {', '.join(sorted(_FILTERS))}",
                field=f"/{part}",
            )


@cache
def built_in(name: str, locale: str) -> Wording | None:
    """Return our own wording: the subject in the first line, the text after an empty one."""
    if name not in NAMES or not locale.isalpha():
        return None
    file = resources.files("billplane.notification") / "templates" / locale / f"{name}.txt"
    if not file.is_file():
        return None
    subject, _, text = file.read_text("utf-8").partition("\n\n")
    return Wording(subject.removeprefix("Subject: "), text)


def locales(wanted: str, *others: str) -> list[str]:
    """Return the locales to try, best first: de-AT, de, the tenant's, English."""
    found: list[str] = []
    for locale in (wanted, *others, "en"):
        normal = locale.replace("_", "-")
        for tag in (normal, normal.partition("-")[0]):
            if tag and tag not in found:
                found.append(tag)
    return found


async def find(tx: ReadTransaction, name: str, wanted: Sequence[str]) -> tuple[Wording, str]:
    """Return the best wording and its locale: in each locale the tenant's own before ours.

    Raises: TemplateNotFound.
    """
    for locale in wanted:
        row = await messages.template(tx, name, locale)
        if row is not None:
            return Wording(row.subject, row.text, row.html), locale
        ours = built_in(name, locale)
        if ours is not None:
            return ours, locale
    raise TemplateNotFound(f"there is no template {name[:80]!r}; there are {', '.join(NAMES)}")


async def list_templates(tx: ReadTransaction) -> Sequence[TemplateRow]:
    """Return the tenant's own wordings.

    Raises: ScopeMissing.
    """
    tx.authorize(READ)
    return await messages.templates(tx)


async def get_template(tx: ReadTransaction, name: str, locale: str) -> tuple[Wording, bool]:
    """Return a wording, and whether it is the tenant's own.

    Raises: ScopeMissing, TemplateNotFound.
    """
    tx.authorize(READ)
    row = await messages.template(tx, name, locale)
    if row is not None:
        return Wording(row.subject, row.text, row.html), True
    ours = built_in(name, locale)
    if ours is None:
        raise TemplateNotFound(f"there is no template {name[:80]!r} in {locale[:40]!r}")
    return ours, False


async def put_template(tx: Transaction, name: str, locale: str, wording: Wording) -> None:
    """Word a message anew.

    Raises: ScopeMissing, TemplateNotFound, TemplateInvalid.
    """
    tx.authorize(WRITE)
    if name not in NAMES:
        raise TemplateNotFound(f"there is no template {name[:80]!r}; there are {', '.join(NAMES)}")
    if not _LOCALE.match(locale):
        raise TemplateInvalid("a locale is written as de or de-AT", field="locale")
    for part in ("subject", "text", "html"):
        check(part, getattr(wording, part))
    row = TemplateRow(
        tenant_id=tx.tenant_id,
        name=name,
        locale=locale,
        subject=wording.subject,
        text=wording.text,
        html=wording.html,
        updated_at=tx.now,
    )
    await messages.put_template(tx, row)


async def delete_template(tx: Transaction, name: str, locale: str) -> None:
    """Go back to our own wording.

    Raises: ScopeMissing, TemplateNotFound.
    """
    tx.authorize(WRITE)
    if not await messages.drop_template(tx, name, locale):
        raise TemplateNotFound(f"there is no own template {name[:80]!r} in {locale[:40]!r}")


def _page(subject: str, text: str) -> str:
    """Make the HTML part of a text: its paragraphs, addresses as links."""
    layout = resources.files("billplane.notification") / "templates" / "layout.html"
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
    body = Markup("\n").join(Markup(f"<p>{_linked(part)}</p>") for part in paragraphs)  # noqa: S704 - escaped word by word
    return _HTML.from_string(layout.read_text("utf-8")).render(subject=subject, body=body)


def _linked(paragraph: str) -> str:
    lines = []
    for line in paragraph.splitlines():
        words = [
            f'<a href="{escape(word)}">{escape(word)}</a>'
            if word.startswith(("https://", "http://"))
            else escape(word)
            for word in line.split(" ")
        ]
        lines.append(" ".join(words))
    return "<br>\n".join(lines)
