"""The load of the tests, run in a pod: usage in, quotes out, until the time is over.

Reads its environment. Each event has an id, and is sent again
with it until it is answered; so what was answered is known exactly. The last line is the result.
"""

import asyncio
import json
import os
import sys
import time

import aiohttp

GATEWAY, KEY, EVENT_TYPE = os.environ["GATEWAY"], os.environ["KEY"], os.environ["EVENT_TYPE"]
SECONDS, PLAN, RUN = float(os.environ["SECONDS"]), os.environ["PLAN"], os.environ["RUN"]
# A client gives a call up after this long, as a patient one does.
PATIENCE_SECONDS = 120
TRIED_AGAIN = (429, 502, 503, 504)


async def call(http, method, path, body, counts):
    """Send one request until it succeeds; count how often it had to be sent again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = 0.05
    while True:
        try:
            timeout = aiohttp.ClientTimeout(total=15)
            async with http.request(method, GATEWAY + path, json=body, timeout=timeout) as answer:
                text = await answer.text()
                if answer.status < 300:
                    return
                if answer.status not in TRIED_AGAIN:
                    counts["refused"] += 1
                    counts.setdefault("words", text[:300])
                    return
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        if time.monotonic() > deadline:
            counts["given_up"] += 1
            return
        counts["again"] += 1
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2)


async def send_usage(http, lane, until, counts):
    number = 0
    while time.monotonic() < until:
        number += 1
        events = [
            {
                "specversion": "1.0",
                "source": f"{RUN}/{lane}",
                "id": f"{number}-{index}",
                "type": EVENT_TYPE,
                "subject": f"{RUN}-{index % 3}",
                "data": {"units": 1},
            }
            for index in range(5)
        ]
        before = counts["given_up"] + counts["refused"]
        await call(http, "POST", "/v1/usage_events", events, counts)
        if counts["given_up"] + counts["refused"] == before:
            counts["acknowledged"] += len(events)
        await asyncio.sleep(0.05)


async def ask_quotes(http, until, counts):
    body = {"plan": PLAN, "items": [{"meter": os.environ["METER"], "quantity": "10"}]}
    while time.monotonic() < until:
        await call(http, "POST", "/v1/quotes", body, counts)
        counts["quotes"] += 1
        await asyncio.sleep(0.2)


async def main():
    counts = dict.fromkeys(("acknowledged", "quotes", "again", "given_up", "refused"), 0)
    until = time.monotonic() + SECONDS
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        lanes = [send_usage(http, lane, until, counts) for lane in range(3)]
        await asyncio.gather(*lanes, ask_quotes(http, until, counts))
    sys.stdout.write(json.dumps(counts) + "\n")


asyncio.run(main())
