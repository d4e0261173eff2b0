"""The README's own commands, in its order, on a platform started as it says."""

import re
import subprocess
import sys
from pathlib import Path

from tests.fixtures.laptop import running_laptop

ROOT = Path(__file__).parents[2]


def test_the_commands_of_the_readme_run_as_written():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (curls,) = (block for block in blocks if "curl " in block)
    (commands,) = (block for block in blocks if "billplane register" in block)
    with running_laptop() as laptop:
        laptop.environment |= {
            "PATH": f"{Path(sys.executable).parent}:{laptop.environment['PATH']}",
            "XDG_CONFIG_HOME": str(laptop.home / "config"),
            "BILLPLANE_URL": laptop.url,
        }
        laptop.billplane("apply", "-f", "examples/quickstart", "--namespace", "default")
        shown = _run(laptop, curls.replace("http://localhost:8080", "localhost:8080"))
        assert '"status":"accepted"' in shown
        assert '"estimated":true' in shown
        register, *rest = commands.strip().splitlines()
        assert register.startswith("billplane register")
        _run(laptop, f"echo a-long-password | {register.split('#')[0]} --password-stdin")
        shown = _run(laptop, "set -e\n" + "\n".join(_kept(line) for line in rest))
        assert "12.85 EUR" in shown
        assert "0 violations" in shown


def _kept(line):
    """Keep the subscription's id for the lines that name it."""
    if line.startswith("billplane subscribe "):
        return f"SUBSCRIPTION=$({line} -o json | grep -o 'sub_[a-z0-9]*' | head -1)"
    return line.replace("sub_…", "$SUBSCRIPTION")


def _run(laptop, script):
    """Run shell lines; the README's address becomes the test platform's, nothing else."""
    done = subprocess.run(
        ["bash", "-c", script.replace("localhost:8080", laptop.url.removeprefix("http://"))],
        cwd=ROOT, env=laptop.environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
