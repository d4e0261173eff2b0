"""Generates the gateway's routing table from the services' declarations; `--check` compares."""

import json
import sys
from pathlib import Path

from billplane import catalog

TARGET = Path(__file__).parent.parent / "services/billplane/gateway/data/routes.json"


def table() -> str:
    """Return the table as JSON, one route a line."""
    rows = [
        json.dumps(
            {
                "prefix": route.prefix,
                "service": name,
                "limit": route.limit,
                "public": route.public,
                "demo": route.demo,
                "dialect": route.dialect,
            }
        )
        for name in catalog.SERVICES
        for route in catalog.load(name).routes
    ]
    return "[\n  " + ",\n  ".join(sorted(rows)) + "\n]\n"


def main() -> int:
    """Write the table, or compare under `--check`."""
    wanted = table()
    if "--check" not in sys.argv:
        TARGET.write_text(wanted)
        return 0
    if TARGET.read_text() != wanted:
        print("the gateway's routing table is out of date; run `make protos`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
