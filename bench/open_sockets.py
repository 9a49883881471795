"""Many open pages' sockets, as cheap as can be: `python -m bench.open_sockets PORT COOKIE COUNT UUIDS`.

Each watches the usage of these VMs, as the list does. Prints "open" once all are greeted. Reads from stdin how many
changes are sent in all, waits for them (not for ever), and prints JSON: the delays in seconds (median and p95) of each
change at each socket, and how many did not come.
"""

import asyncio
import base64
import json
import os
import re
import sys
import time
from array import array

# As bench.live publishes them.
_CHANGE = re.compile(rb'"sent_at":([0-9.]+),"number":(\d+)')
_PATIENCE_SECONDS = 30


class Page(asyncio.Protocol):
    """One socket's browser end."""

    def __init__(self, port: int, cookie: str, delays: "array[float]") -> None:
        self.request = (
            f"GET /ws/live/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
            f"Cookie: {cookie}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
        ).encode()
        self.delays = delays
        self.buffer = b""
        self.is_upgraded = False
        self.greeted = asyncio.Event()
        self.numbers: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.is_upgraded:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.splitlines()[0]:
                raise SystemExit(head.decode())
            self.is_upgraded, self.buffer = True, rest
        while (frame := self._next_frame()) is not None:
            self._take(*frame)

    def say(self, text: bytes) -> None:
        # A mask of zeros is a mask.
        self.transport.write(bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text)

    def _next_frame(self) -> tuple[int, bytes] | None:
        buffer = self.buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 0x7F, 2
        if length > 125:
            start = 4 if length == 126 else 10
            if len(buffer) < start:
                return None
            length = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + length:
            return None
        self.buffer = buffer[start + length :]
        return buffer[0] & 0x0F, buffer[start : start + length]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == 0x9:
            self.transport.write(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
            return
        if payload.startswith(b'{"type":"hello"'):
            self.greeted.set()
            return
        now = time.time()
        for sent_at, number in _CHANGE.findall(payload):
            self.delays.append(now - float(sent_at))
            self.numbers.add(int(number))


async def _listen(port: int, cookie: str, count: int, uuids: list[str]) -> None:
    delays = array("d")
    loop = asyncio.get_running_loop()
    pages = []
    for _ in range(count):
        page = (await loop.create_connection(lambda: Page(port, cookie, delays), "127.0.0.1", port))[1]
        await asyncio.wait_for(page.greeted.wait(), 30)
        page.say(json.dumps({"watch": uuids, "watch_hypervisors": []}).encode())
        pages.append(page)
    print("open", flush=True)
    total = int(await loop.run_in_executor(None, sys.stdin.readline))
    waited_until = loop.time() + _PATIENCE_SECONDS
    while loop.time() < waited_until and any(len(page.numbers) < total for page in pages):
        await asyncio.sleep(0.1)
    lost = sum(total - len(page.numbers) for page in pages)
    ordered = sorted(delays)
    at = {
        name: ordered[int(len(ordered) * part)] if ordered else None for name, part in (("median", 0.5), ("p95", 0.95))
    }
    print(json.dumps(at | {"lost": lost, "expected": total * count}))


if __name__ == "__main__":
    asyncio.run(_listen(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4].split(",")))
