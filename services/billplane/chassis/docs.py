"""Swagger UI of a service or of all: its files come with a package, none from elsewhere."""

from functools import cache
from html import escape
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from starlette.responses import FileResponse, HTMLResponse, Response

PATH = "/docs"
_SECONDS = 86_400
# What may be asked for; everything else of the package stays unserved.
_TYPES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    "docs.js": "text/javascript",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Billplane TITLE</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>The same is at <a href="openapi.json">openapi.json</a>.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/docs.js"></script>
</body>
</html>
"""


def covers(path: str) -> bool:
    """Tell whether a path is the page or lies below it."""
    return path == PATH or path.startswith(f"{PATH}/")


def page(title: str) -> Response:
    """Return the page; it reads openapi.json beside it."""
    return HTMLResponse(_PAGE.replace("TITLE", escape(title)))


def asset(path: str) -> Response | None:
    """Return a file that the page needs, None when it needs no such file.

    It is read from disk in pieces for each request, so that none stays in memory.
    """
    name = path.removeprefix(f"{PATH}/")
    content_type = _TYPES.get(name)
    if content_type is None:
        return None
    folder = _own() if name == "docs.js" else _bundle()
    headers = {"Cache-Control": f"public, max-age={_SECONDS}"}
    return FileResponse(folder / name, media_type=content_type, headers=headers)


def _own() -> Path:
    return Path(str(resources.files("billplane.chassis"))) / "data"


@cache
def _bundle() -> Path:
    """Find the package's files without importing it, which would bring a template engine along."""
    spec = find_spec("swagger_ui_bundle")
    found = [
        path
        for folder in (spec.submodule_search_locations if spec is not None else None) or ()
        for path in Path(folder).glob("vendor/swagger-ui-*")
    ]
    if not found:
        raise FileNotFoundError("swagger-ui-bundle is not installed; run `make install`")
    return found[0]
