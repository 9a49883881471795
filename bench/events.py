"""Suspends and resumes a domain and prints, as JSON, when libvirt's event of each reached this process.

`python -m bench.events URI UUID COUNT` -> [[epoch milliseconds, "Paused"], …]
"""

import json
import queue
import sys
import threading
import time

import libvirt


def main() -> None:
    uri, uuid, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_events, daemon=True).start()
    connection = libvirt.open(uri)
    domain = connection.lookupByUUIDString(uuid)
    arrivals: queue.Queue[float] = queue.Queue()
    event = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
    connection.domainEventRegisterAny(domain, event, lambda *_: arrivals.put(time.time() * 1000), None)
    stamps = []
    for number in range(count):
        is_pause = number % 2 == 0
        (domain.suspend if is_pause else domain.resume)()
        stamps.append([arrivals.get(timeout=10), "Paused" if is_pause else "Running"])
        time.sleep(0.4)
    print(json.dumps(stamps))


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


if __name__ == "__main__":
    main()
