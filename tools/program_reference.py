"""The reference of what programs and people call: the command line, REST and gRPC."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from billplane import catalog
from billplane_cli.__main__ import app as command_line
from billplane_cli.exit_codes import MEANINGS
from fastapi.routing import APIRoute

PROTOS = Path(__file__).parent.parent / "protos" / "billplane"
_COMMON = {"--help", "--output", "--profile", "--url", "--live"}
_MARKUP = re.compile(r"\[/?(bold|italic|dim|cyan|green|yellow)\]")
_BLOCK = re.compile(r"((?:^//[^\n]*\n)*)^(service|message|enum) (\w+) \{\n(.*?)^\}", re.M | re.S)
_RPC = re.compile(
    r"((?:^ *//[^\n]*\n)*) *rpc (\w+)\(([\w.]+)\)\s+returns \((stream )?([\w.]+)\)", re.M
)
_FIELD = re.compile(
    r"((?:^ *//[^\n]*\n)*) *((?:repeated |optional )?(?:map<[^>]+>|[\w.]+)) (\w+) = \d+[^;\n]*;"
    r"(?: *// *([^\n]*))?",
    re.M,
)


def cli() -> str:
    """Return every command with its arguments and options."""
    root: Any = typer.main.get_command(command_line)
    lines = [
        "# The command line",
        "",
        "`billplane`, also installed as `micro`. Every command explains itself with `--help`; what",
        "calls a platform takes `--url`, `--profile`, `--live` and `--output table|json|yaml` too.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        *(f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()),
    ]
    for name, command in root.commands.items():
        lines += _command(f"billplane {name}", command)
    return "\n".join(lines) + "\n"


def _command(path: str, command: Any) -> list[str]:
    own = getattr(command, "commands", None)
    if own is not None:
        found = ["", f"## {path}", "", _plain(command.help)]
        for name, inner in own.items():
            found += _command(f"{path} {name}", inner)
        return found
    depth = "###" if path.count(" ") > 1 else "##"
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    usage = " ".join([path, *(_argument(item) for item in arguments)])
    found = ["", f"{depth} {path}", "", _plain(command.help), "", "```text", usage]
    options = [item for item in command.params if item.param_type_name == "option"]
    for option in options:
        if not _COMMON & set(option.opts):
            names = ", ".join([*option.opts, *option.secondary_opts])
            found.append(f"  {names:<28} {_plain(option.help)}".rstrip())
    return [*found, "```"]


def _argument(argument: Any) -> str:
    name = f"{(argument.metavar or argument.name).upper()}{'…' if argument.nargs == -1 else ''}"
    return name if argument.required else f"[{name}]"


def _plain(text: str | None) -> str:
    """Return help without its marks, in as many lines as it has paragraphs."""
    paragraphs = _MARKUP.sub("", text or "").replace("\b", "").split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in paragraphs)


def rest() -> str:
    """Return every operation of every service."""
    lines = [
        "# REST",
        "",
        "One address, the gateway's, in front of every service. `/docs` of a running platform",
        "shows the same with every field; `/openapi.json` is for generators of clients.",
    ]
    for name in catalog.SERVICES:
        app = catalog.load(name)
        rows = [
            f"| `{method} {route.path}` | {_first(route.description)} |"
            for route in _operations(app.rest.routes if app.rest is not None else ())
            if route.include_in_schema
            for method in sorted(route.methods or ())
        ]
        # Hot paths are no routes of FastAPI and describe themselves.
        for path, methods in app.extra.get("openapi", {}).get("paths", {}).items():
            rows += [
                f"| `{method.upper()} {path}` | {_first(operation['summary'])}. |"
                for method, operation in methods.items()
            ]
        if rows:
            lines += ["", f"## {name}", "", "| operation | what it does |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _operations(routes: Iterable[Any]) -> Iterator[APIRoute]:
    """Yield the routes of a router and of those that it includes."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif included := getattr(route, "original_router", None):
            yield from _operations(included.routes)


def _first(text: str) -> str:
    return " ".join(text.split("\n\n", 1)[0].split()).replace("|", "\\|")


def grpc() -> str:
    """Return every gRPC service with its calls and messages."""
    lines = [
        "# gRPC",
        "",
        "Stubs are in the distribution, under `billplane.protos`; every server answers reflection",
        "and health. A call carries its credential as `authorization: Bearer …` metadata. Facts",
        "are in [Messages](events.md).",
    ]
    for path in sorted(PROTOS.glob("*/v1/*.proto")):
        text = path.read_text(encoding="utf-8")
        blocks = list(_BLOCK.finditer(text))
        if any(block[2] == "service" for block in blocks):
            for block in blocks:
                lines += _block(path.parent.parent.name, block)
    return "\n".join(lines) + "\n"


def _block(package: str, block: re.Match[str]) -> list[str]:
    says, kind, name, body = block.groups()
    if kind == "service":
        found = ["", f"## {package}.v1.{name}", "", _comment(says), "", "| call | what it does |"]
        found.append("|---|---|")
        for rpc in _RPC.finditer(body):
            answer = f"{rpc[4] or ''}{rpc[5]}"
            found.append(f"| `{rpc[2]}({rpc[3]})` → `{answer}` | {_comment(rpc[1])} |")
        return found
    rows = [_row(*field.groups()) for field in _FIELD.finditer(body)]
    if kind == "enum" or not rows:
        return []
    return ["", f"### {name}", "", _comment(says), "", "| field | type | |", "|---|---|---|", *rows]


def _row(before: str, kind: str, name: str, after: str | None) -> str:
    kind = kind.replace("<", "&lt;")
    return (
        f"| `{name}` | {kind} | {_comment(before) or (after or '').replace('|', chr(92) + '|')} |"
    )


def _comment(text: str | None) -> str:
    words = (line.strip().removeprefix("//").strip() for line in (text or "").splitlines())
    return " ".join(filter(None, words)).replace("|", "\\|")
