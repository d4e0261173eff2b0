"""Fault points: named places where a test can end the process.

`FAULT=name:n` ends the process at the n-th passage of that point, as kill -9 would.
"""

import os

POINTS: set[str] = set()


def _armed() -> tuple[str, int] | None:
    value = os.environ.get("FAULT", "")
    name, _, count = value.partition(":")
    return (name, int(count or 1)) if name else None


_ARMED = _armed()
_passages = 0


def register(*names: str) -> None:
    """Declare fault points, so that a test can list the ones nobody tries."""
    POINTS.update(names)


def faultpoint(name: str) -> None:
    """End the process here when this passage is the armed one."""
    global _passages  # noqa: PLW0603 - one counter a process is the point
    if _ARMED is None or _ARMED[0] != name:
        return
    _passages += 1
    if _passages == _ARMED[1]:
        os._exit(137)
