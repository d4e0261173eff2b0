"""Bugs that others' listeners were reported to have; each stays out by name."""

import asyncio

from tests.gateway.test_stream import Writer, frame

EVENTS = 12


async def test_known_bug_events_are_lost_while_a_listener_connects_again(platform):
    """Reported against stripe-cli: what happened between two connections was never forwarded."""
    writer = Writer(platform, "ten_bug_reconnects")
    made = [asyncio.create_task(_happen_one_by_one(writer))]
    got, cursor = [], "0"
    async with asyncio.timeout(60):
        while len(got) < EVENTS:
            # Each connection is dropped after two events, without a word.
            socket = await writer.listen(f"?after={cursor}")
            await frame(socket)
            while len(got) < EVENTS:
                found = await frame(socket, 30)
                got.append(found["event"]["data"]["object"]["name"])
                cursor = found["cursor"]
                if len(got) % 2 == 0:
                    socket.transport.abort()
                    break
    await asyncio.gather(*made)
    assert sorted(got) == sorted(f"c-{number}" for number in range(EVENTS))


async def _happen_one_by_one(writer):
    for number in range(EVENTS):
        await writer.happen(f"c-{number}")
