"""Every place where a process may be killed is one where a test kills it."""

import re
from pathlib import Path

import pytest
from billplane import catalog
from billplane.chassis import faults

TESTS = Path(__file__).parents[1]

for _name in catalog.SERVICES:
    catalog.load(_name)


@pytest.fixture(scope="module")
def tried():
    """Name the points that tests arm; each of those tests fails when its point is not passed."""
    text = "\n".join(
        path.read_text("utf-8") for path in TESTS.rglob("*.py") if path != Path(__file__)
    )
    return set(re.findall(r"\"([a-z_]+\.[a-z_]+)(?::\d+)?\"", text))


@pytest.mark.parametrize("point", sorted(faults.POINTS))
def test_a_registered_point_is_tried(point, tried):
    assert point in tried, f"no test kills a process at {point}: `FAULT={point}:1`"


def test_every_point_that_is_passed_is_registered():
    passed = set()
    for path in (TESTS.parent / "services").rglob("*.py"):
        passed |= set(re.findall(r"\bfaultpoint\(\s*\"([^\"]+)\"", path.read_text("utf-8")))
    assert passed == faults.POINTS
