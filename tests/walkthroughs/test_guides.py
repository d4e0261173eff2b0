"""The guides' `console` blocks: every command runs as written and answers what the guide shows."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


def steps(text):
    """Return the commands of a guide in their order, each with what is shown below it."""
    found = []
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return [(command, "\n".join(shown)) for command, shown in found]


def matches(shown, printed):
    """Compare what a guide shows with what was printed; an ellipsis stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


async def run(commands, folder, **variables):
    """Run commands in one shell, the command line among them; return what each printed."""
    script = "\n".join(f"{command}\necho '@@end@@'" for command in commands)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "XDG_CONFIG_HOME": str(folder),
            **variables,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        printed, _ = await process.communicate()
    return printed.decode().split("@@end@@\n")[:-1]


GUIDES_WITH_CONSOLES = sorted(
    path.name for path in GUIDES.glob("*.md") if _BLOCK.search(path.read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("name", GUIDES_WITH_CONSOLES)
async def test_the_commands_of_a_guide_answer_what_it_shows(platform, tmp_path, name):
    tenant = f"ten_guide_{name.removesuffix('.md')}"
    given = steps((GUIDES / name).read_text(encoding="utf-8"))
    here = f"localhost:{8080 + platform.port_offset}"
    printed = await run(
        [command.replace("localhost:8080", here) for command, _ in given],
        tmp_path,
        BILLPLANE_URL=f"http://{here}",
        BILLPLANE_API_KEY=platform.token(tenant, subject="user:usr_ada"),
        KEY=platform.token(tenant, subject="user:usr_ada"),
        BOB=platform.token(tenant, subject="user:usr_bob"),
    )
    assert len(printed) == len(given)
    for (command, shown), answer in zip(given, printed, strict=True):
        assert matches(shown, answer), f"$ {command}\n{answer}"
