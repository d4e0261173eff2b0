"""The printed reference of resources says what the CRDs say."""

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def test_the_reference_is_what_the_crds_and_the_operators_settings_say():
    program = await asyncio.create_subprocess_exec(
        sys.executable, "tools/resources.py", "--check", cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await program.communicate()
    assert program.returncode == 0, out.decode()
