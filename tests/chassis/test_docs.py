"""Every port shows its own documentation, complete and from nowhere else."""

import asyncio
import json
import re
import shutil
import subprocess
from importlib import resources

import pytest

SCRIPT = resources.files("billplane.chassis") / "data" / "docs.js"


async def fetched(platform, path, port=8080):
    async with platform.http.get(platform.url(path, port)) as answer:
        return answer, await answer.read()


async def test_the_page_and_all_it_loads_need_no_credential_and_no_other_host(platform):
    for port in (8080, 8001, 8081):
        answer, body = await fetched(platform, "/docs", port)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        wanted = re.findall(r'(?:src|href)="([^"]+)"', body.decode())
        assert "docs/swagger-ui-bundle.js" in wanted
        for path in wanted:
            answer, body = await fetched(platform, f"/{path}", port)
            assert answer.status == 200, path
            assert body


async def test_the_bundle_is_swagger_ui_and_may_be_kept_by_a_browser(platform):
    answer, body = await fetched(platform, "/docs/swagger-ui-bundle.js")
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert "max-age" in answer.headers["Cache-Control"]
    assert len(body) > 1_000_000
    assert b"SwaggerUIBundle" in body


@pytest.mark.parametrize("path", ["/docs/nothing.js", "/docs/../settings.py", "/docs/%2e%2e/a"])
async def test_nothing_else_is_served_below_it(platform, path):
    answer, body = await fetched(platform, path)
    assert answer.status in (401, 404)
    assert json.loads(body)["reason"] in ("ROUTE_NOT_FOUND", "CREDENTIAL_MISSING")


async def test_the_main_port_shows_every_service_and_an_own_port_only_its_own(platform):
    _, body = await fetched(platform, "/openapi.json")
    everything = json.loads(body)["paths"]
    assert {"/v1/customers", "/v1/tax_rules", "/auth/register"} <= everything.keys()
    _, body = await fetched(platform, "/openapi.json", 8001)
    assert {path.split("/")[2].split("_")[0] for path in json.loads(body)["paths"]} == {"tax"}


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript interpreter is installed")
async def test_what_is_new_in_openapi_3_1_is_shown_in_the_words_of_3_0(platform, tmp_path):
    _, body = await fetched(platform, "/openapi.json")
    document = tmp_path / "openapi.json"
    document.write_bytes(body)
    program = f"{SCRIPT.read_text()}\nconst read = require('fs').readFileSync({str(document)!r});"
    program += "\nconsole.log(JSON.stringify(inOlderWords(JSON.parse(read))));"
    command = ["node", "-e", program]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    shown = json.loads(done.stdout)
    assert shown["paths"].keys() == json.loads(body)["paths"].keys()
    for schema in _schemas(shown["components"]["schemas"]):
        assert not isinstance(schema.get("type"), list)
        assert {"type": "null"} not in schema.get("anyOf", [])
        assert not isinstance(schema.get("exclusiveMinimum"), (int, float)) or (
            schema["exclusiveMinimum"] is True
        )
    external_id = shown["components"]["schemas"]["subscription.Customer"]["properties"][
        "external_id"
    ]
    assert external_id == {"title": "External Id", "type": "string", "nullable": True}


def _schemas(value):
    if isinstance(value, dict):
        if isinstance(value.get("type"), str | list) or "anyOf" in value:
            yield value
        for item in value.values():
            yield from _schemas(item)
    elif isinstance(value, list):
        for item in value:
            yield from _schemas(item)
