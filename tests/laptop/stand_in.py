"""A platform of three small programs: what the supervisor watches while a test kills them.

Run as `python stand_in.py HOME PORT_OFFSET`, it is the supervisor; `… door PORT`, `… operator`
and `… step FILE` are what it starts.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from billplane.laptop import commands
from billplane.laptop.__main__ import report
from billplane.laptop.home import LaptopHome
from billplane.laptop.plan import Plan, Program, Step, answers_ready, platform_environment


def stand_in_plan(home: LaptopHome) -> Plan:
    environment = platform_environment(home)
    program = [sys.executable, __file__]
    port = home.ports["gateway"]
    seen = home.path / "steps.seen"
    platform = [*program, "door", str(port)]
    if os.environ.get("STAND_IN_BROKEN"):
        platform = [sys.executable, "-c", "raise SystemExit('the price list is missing')"]
    return Plan(
        steps=[Step("migrate", [*program, "step", str(seen)], environment)],
        programs=[
            Program("platform", platform, environment, is_ready=lambda: answers_ready(port)),
            Program("operator", [*program, "operator"], environment, grace_seconds=5),
        ],
        fingerprint=os.environ.get("STAND_IN_FINGERPRINT"),
    )


class Door(BaseHTTPRequestHandler):
    """Answers that it is ready, and with which settings it runs."""

    def do_GET(self) -> None:
        body = json.dumps({k: v for k, v in os.environ.items() if "BILLPLANE" in k}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    if sys.argv[1] == "door":
        HTTPServer(("127.0.0.1", int(sys.argv[2])), Door).serve_forever()
    elif sys.argv[1] == "operator":
        time.sleep(3600)
    elif sys.argv[1] == "step":
        with Path(sys.argv[2]).open("a") as seen:
            seen.write("migrated\n")
        time.sleep(float(os.environ.get("STAND_IN_STEP_SECONDS", "0")))
    else:
        home = LaptopHome.open(Path(sys.argv[1]), int(sys.argv[2]))
        raise SystemExit(0 if commands.supervise(home, stand_in_plan(home), report) else 1)


if __name__ == "__main__":
    main()
