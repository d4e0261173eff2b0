"""Writing XML: every text is escaped, what is empty is left out."""

import re
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


class Markup(str):
    """XML that is ready."""

    __slots__ = ()


def tag(name: str, *content: str | None, **attributes: str) -> Markup:
    """Write an element; text is escaped, markup stays, and without content there is none.

    Shape: an attribute's name has `__` in place of a colon.
    """
    inner = "".join(
        part if isinstance(part, Markup) else escape(clean(part)) for part in content if part
    )
    if not inner:
        return Markup()
    return Markup(f"<{name}{_written(attributes)}>{inner}</{name}>")


def _written(attributes: dict[str, str]) -> str:
    return "".join(
        f" {name.replace('__', ':')}={quoteattr(clean(value))}"
        for name, value in attributes.items()
        if value
    )


def clean(text: str) -> str:
    """Drop characters that XML has no way to write."""
    return _FORBIDDEN.sub(" ", text)
