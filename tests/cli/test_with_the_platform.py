"""The command line and the real gateway and identity: what both say must fit."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml
from billplane.resources import validate_spec
from billplane_cli.exit_codes import ExitCode
from billplane_cli.manifests import read_manifests
from billplane_cli.profile import ProfileFile

from tests.fixtures.platform import Stores

PASSWORD = "correct horse battery staple\n"


async def billplane(
    url: str, *arguments: str, given: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as its users do, beside the platform that runs in this process."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "billplane_cli", *arguments],
        env={**os.environ, "BILLPLANE_URL": url, **environ},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


async def test_register_keys_and_logout_work_as_documented(
    make_stores: Callable[[], Awaitable[Stores]], run_platform: Callable[..., Any], tmp_path: Path
) -> None:
    async with run_platform(await make_stores(), services=("gateway", "identity")) as found:
        url = found.url("")
        email = ("--email", "dev@example.com", "--password-stdin")
        registered = await billplane(url, "register", *email, given=PASSWORD)
        assert registered.returncode == 0, registered.stderr
        profile = ProfileFile().load()
        assert profile.tenant_id.startswith("ten_")

        wrong = await billplane(url, "login", *email, given="another password altogether\n")
        assert wrong.returncode == ExitCode.NOT_ALLOWED
        again = await billplane(url, "register", *email, given=PASSWORD)
        assert (again.returncode, "EMAIL_TAKEN" in again.stderr) == (ExitCode.CONFLICT, True)

        made = await billplane(url, "keys", "create", "--name", "ci", "-o", "json")
        key = json.loads(made.stdout)
        listed = json.loads((await billplane(url, "keys", "list", "-o", "json")).stdout)
        assert key["id"] in {item["id"] for item in listed}
        with_key = {"BILLPLANE_API_KEY": key["key"]}
        assert (await billplane(url, "keys", "list", **with_key)).returncode == 0

        assert (await billplane(url, "keys", "revoke", key["id"])).returncode == 0
        logged_out = await billplane(url, "logout")
        assert (logged_out.returncode, "could not" in logged_out.stderr) == (0, False)
        refused = await billplane(url, "keys", "list")
        assert refused.returncode == ExitCode.NOT_ALLOWED
        assert "billplane login" in refused.stderr


async def test_what_the_api_made_is_exported_as_manifests_that_make_it_elsewhere(
    make_stores: Callable[[], Awaitable[Stores]], run_platform: Callable[..., Any], tmp_path: Path
) -> None:
    services = ("gateway", "identity", "metering", "pricing", "exchange_rate", "subscription")
    async with run_platform(await make_stores(), services=services) as found:
        headers = found.headers("ten_exported")
        meter = {"eventType": "calls", "aggregation": "Sum", "valueProperty": "$.NO"}
        for name in ("calls", "more"):
            body = {"name": name, "spec": meter}
            await found.request("POST", "/v1/meters", json=body, headers=headers, expect=201)
        await found.request("DELETE", "/v1/meters/more", headers=headers, expect=204)
        key = {"BILLPLANE_API_KEY": found.token("ten_exported")}
        written = tmp_path / "made.yaml"
        said = await billplane(found.url(""), "export", "meters", "--file", str(written), **key)
        assert said.returncode == 0, said.stderr
        (manifest,) = read_manifests([str(written)])
        assert (manifest.kind, manifest.name) == ("Meter", "calls")
        assert validate_spec("Meter", yaml.safe_load(manifest.text)["spec"]) == validate_spec(
            "Meter", meter
        )
        none = await billplane(found.url(""), "export", "feeds", **key)
        assert none.returncode == ExitCode.NOT_FOUND, none.stderr
