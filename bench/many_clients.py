"""Many browsers that ask for one page again and again: `python -m bench.many_clients PORT PATH COOKIE CLIENTS SECONDS`.

Each opens a connection for every request, as time_page() does. Prints the seconds that each answer took, as JSON.
"""

import asyncio
import json
import sys
import time


async def _ask(port: int, request: bytes) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    started = time.perf_counter()
    writer.write(request)
    answer = await reader.read()
    took = time.perf_counter() - started
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(answer[:300].decode(errors="replace"))
    return took


async def _browse(port: int, request: bytes, until: float) -> list[float]:
    times = []
    while time.monotonic() < until:
        times.append(await _ask(port, request))
    return times


async def main(port: int, path: str, cookie: str, clients: int, seconds: float) -> None:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n"
        "Accept: text/html\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    ).encode()
    until = time.monotonic() + seconds
    times = await asyncio.gather(*(_browse(port, request, until) for _ in range(clients)))
    print(json.dumps([took for own in times for took in own]))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])))
