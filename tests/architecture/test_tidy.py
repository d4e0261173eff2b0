"""The rules of the code that no linter knows. Each names what to use instead."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from billplane import catalog

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "services" / "billplane"
GENERATED = SERVICES / "protos"
LINES_MAX, FUNCTION_LINES_MAX = 400, 70
ALLOW = re.compile(r"# tidy: allow ([^:]+): \S")

SERVICE_FILES = {
    "__init__.py", "app.py", "rest.py", "rpc.py", "schemas.py", "consumers.py", "jobs.py",
    "service.py", "repository.py", "cache.py", "peers.py", "providers", "invariants.py",
    "models.py", "domain.py", "errors.py", "settings.py", "migrations", "data", "templates",
}  # fmt: skip
OWN_FILES = {
    "ledger": {"ingest.py"},
    "metering": {"ingest.py"},
    "gateway": {"edge.py", "stream.py"},
    "invoice": {"render.py", "einvoice.py"},
}
SHARED = {"protos", "resources", "money", "laptop", "chassis"}

# (what is banned, where, what to use instead)
BANNED = (
    (r"\bdatetime\.(now|utcnow|today)\(", "services", "tx.now, or the injected clock"),
    (r"\bdate\.today\(", "services", "tx.now.date()"),
    (r"\.commit\(", "services/billplane/*/", "nothing: the chassis ends the transaction"),
    (r"\buuid4\(|\buuid1\(", "services", "chassis.ids.new"),
    (r"^\s*print\(", "services", "a logger"),
    (r"^\s*print\(", "operator", "a logger"),
    (r"^\s*print\(", "cli", "billplane_cli.output"),
    (r"^(import|from) subprocess\b", "services", "nothing: only the laptop starts processes"),
    (r"^(import|from) subprocess\b", "cli", "billplane_cli.process"),
    (r"^(import|from) subprocess\b", "operator", "nothing"),
    (r"\bINCRBYFLOAT\b", "services", "integer micro-units"),
    (r"\basyncio\.wait_for\(", "services", "asyncio.timeout: wait_for loses cancellations"),
)
EXEMPT = {
    ".commit(": ("services/billplane/chassis/",),
    "subprocess": ("services/billplane/laptop/", "cli/billplane_cli/process.py"),
    "print(": ("cli/billplane_cli/output.py",),
}
MONEY_PATHS = ("money", "pricing", "tax", "discount", "invoice", "subscription", "exchange_rate")
BILLING_WORDS = re.compile(
    r"\b(invoice|ledger|tax|discount|coupon|price|plan|tariff|subscription|meter|payment|customer)s?\b",
    re.IGNORECASE,
)


def _sources(*roots: str) -> list[Path]:
    return sorted(
        path
        for root in roots
        for path in (ROOT / root).rglob("*.py")
        if GENERATED not in path.parents
    )


CODE = _sources("services", "operator", "cli", "tools")
EVERYTHING = [*CODE, *_sources("tests", "bench", "examples")]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_files_stay_below_four_hundred_lines():
    long = {
        _name(path): lines
        for path in EVERYTHING
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert not long, "make it a folder of the same name"


def test_functions_stay_below_seventy_lines():
    long = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in EVERYTHING
        if path.parent.name != "migrations"  # a list of statements is as long as its tables
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert not long


@pytest.mark.parametrize(("pattern", "root", "instead"), BANNED)
def test_banned_words_stay_out(pattern, root, instead):
    found = _uses(pattern, _sources(root.split("*")[0].rstrip("/")))
    assert not found, f"use {instead}"


def _uses(pattern: str, paths: list[Path]) -> list[str]:
    """Find a pattern outside exempt files and lines that say why they may."""
    found = []
    for path in paths:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            hit = re.search(pattern, line)
            if hit is None or ALLOW.search(line):
                continue
            exempt = [folders for word, folders in EXEMPT.items() if word in hit.group(0)]
            if not any(_name(path).startswith(folder) for folders in exempt for folder in folders):
                found.append(f"{_name(path)}:{number}: {line.strip()}")
    return found


def test_a_banned_word_is_found_and_an_exception_needs_a_reason(tmp_path):
    bad = ROOT / "services" / "billplane" / "tidy_probe.py"
    try:
        bad.write_text(
            "x = datetime.now()\ny = datetime.now()  # tidy: allow datetime.now: a test of this\n"
            "z = datetime.now()  # tidy: allow datetime.now:\n"
        )
        found = _uses(r"\bdatetime\.now\(", [bad])
        assert [item.split(":")[1] for item in found] == ["1", "3"]
    finally:
        bad.unlink()


def test_no_float_comes_near_money():
    paths = [path for name in MONEY_PATHS for path in _sources(f"services/billplane/{name}")]
    found = _uses(r"\bfloat\(|: float\b|-> float\b", paths)
    found = [item for item in found if not re.search(r"_seconds|timeout|/render/", item)]
    assert not found, "use Decimal"


def test_the_chassis_knows_no_billing_word():
    found = [
        f"{_name(path)}: {word.group(0)}"
        for path in _sources("services/billplane/chassis")
        for line in path.read_text().splitlines()
        if not ALLOW.search(line)
        for word in [BILLING_WORDS.search(line)]
        if word
    ]
    assert not found


@pytest.mark.parametrize("service", catalog.SERVICES + catalog.STAND_ALONE)
def test_a_service_has_only_files_of_the_closed_list(service):
    allowed = SERVICE_FILES | OWN_FILES.get(service, set())
    for path in (SERVICES / service).iterdir():
        if path.name == "__pycache__":
            continue
        name = path.name if path.suffix or path.name in allowed else f"{path.name}.py"
        assert name in allowed, f"{_name(path)} is not in the closed list"


@pytest.mark.parametrize("service", catalog.SERVICES + catalog.STAND_ALONE)
def test_a_service_says_what_it_owns(service):
    docstring = ast.get_docstring(ast.parse((SERVICES / service / "__init__.py").read_text()))
    assert docstring
    assert "Owns" in docstring
    assert "Publishes" in docstring
    assert "Consumes" in docstring


def test_every_folder_beside_the_services_is_known():
    folders = {path.name for path in SERVICES.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == set(catalog.SERVICES) | set(catalog.STAND_ALONE) | SHARED


def test_source_roots_shadow_nothing():
    for root in ("services", "operator", "cli"):
        assert not (ROOT / root / "__init__.py").exists(), f"{root}/ must stay a bare folder"
    listed = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "lib/python" in listed.stdout


def test_protos_import_only_google():
    for path in (ROOT / "protos").rglob("*.proto"):
        for imported in re.findall(r'^import "([^"]+)"', path.read_text(), re.MULTILINE):
            assert imported.startswith("google/"), f"{_name(path)} imports {imported}"


def test_generated_code_is_that_of_the_protos():
    for tool in ("protos.py", "routes.py", "reference.py"):
        done = subprocess.run(
            [sys.executable, f"tools/{tool}", "--check"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_is_imported_by_something():
    text = "\n".join(path.read_text() for path in EVERYTHING)
    entries = {"__main__", "__init__", "env", "app", "conftest"}
    unused = []
    for path in CODE:
        if path.stem in entries or "migrations" in path.parts or "tools" in path.parts:
            continue
        if not re.search(rf"\b{path.stem}\b", text.replace(path.read_text(), "")):
            unused.append(_name(path))
    assert not unused


def test_no_two_services_hold_the_same_ten_lines():
    places: dict[tuple[str, ...], str] = {}
    found = []
    for path in _sources("services"):
        service = path.relative_to(SERVICES).parts[0]
        if service not in catalog.SERVICES or "migrations" in path.parts:
            continue
        lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
        # Imports and lone brackets say nothing of their own.
        said = [
            line for line in lines if not line.startswith(("from ", "import ")) and len(line) > 3
        ]
        for at in range(len(said) - 9):
            block = tuple(said[at : at + 10])
            other = places.setdefault(block, service)
            if other != service:
                found.append(f"{path.relative_to(ROOT)} repeats {other}: {block[0]!r}")
    assert found == []


def test_no_file_names_a_package_index():
    hosts = re.compile(r"p[y]pi\.org|pythonhoste[d]\.org|npmj[s]\.(org|com)|registr[y]\.npm")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for name in filter(None, listed):
        path = ROOT / name
        if path.is_file():
            assert not hosts.search(path.read_bytes().decode("utf-8", "ignore")), name
