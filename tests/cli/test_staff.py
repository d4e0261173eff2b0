"""`staff` and `whoami` against the real gateway, identity and admin."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from billplane_cli.exit_codes import ExitCode

from tests.cli.test_with_the_platform import PASSWORD, billplane
from tests.fixtures.platform import Stores

KEY = "a-staff-key-that-is-long-enough-0001"


async def test_the_first_member_is_made_by_the_key_and_acts_for_tenants_then(
    make_stores: Callable[[], Awaitable[Stores]], run_platform: Callable[..., Any], tmp_path: Path
) -> None:
    services = ("admin", "gateway", "identity", "tax")
    async with run_platform(await make_stores(), services, BILLPLANE_ADMIN_KEY=KEY) as found:
        url = found.url("")
        email = ("--email", "ada@example.com", "--password-stdin")
        assert (await billplane(url, "register", *email, given=PASSWORD)).returncode == 0
        user = json.loads((await billplane(url, "whoami", "-o", "json")).stdout)["id"]
        grant = ("staff", "grant", user, "--role", "platform", "-o", "json")
        refused = await billplane(url, *grant)
        assert (refused.returncode, "STAFF_ONLY" in refused.stderr) == (ExitCode.NOT_ALLOWED, True)
        made = await billplane(url, *grant, BILLPLANE_ADMIN_KEY=KEY)
        assert json.loads(made.stdout)["role"] == "platform", made.stderr

        assert (await billplane(url, "login", *email, given=PASSWORD)).returncode == 0
        listed = await billplane(url, "staff", "list", "-o", "json")
        assert [member["user_id"] for member in json.loads(listed.stdout)] == [user]
        them = {"BILLPLANE_TENANT": "ten_somebody"}
        seen = await billplane(url, "whoami", "-o", "json", **them)
        assert json.loads(seen.stdout)["tenant_id"] == "ten_somebody", seen.stderr
        gone = await billplane(url, "staff", "revoke", user)
        assert gone.returncode == 0, gone.stderr
        after = await billplane(url, "whoami", **them)
        assert (after.returncode, "STAFF_ONLY" in after.stderr) == (ExitCode.NOT_ALLOWED, True)
