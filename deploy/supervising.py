"""Supervisor, whose Python programs are forked from it with everything loaded, instead of each loading it anew.

Run as `python -m deploy.supervising -c supervisord.conf`. Modules are most of what an idle program of ours holds; so
they are held once. Each program is a child of Supervisor as ever: watched, restarted and stopped alone. What is not
Python (nginx, Redis) is executed. See docs/decisions/0013.

Nothing is opened here that must not cross a fork: no database, no Redis, no libvirt, no thread.
"""

import gc
import importlib
import logging
import os
import runpy
import signal
import sys
import threading
import traceback
from typing import NoReturn

from supervisor import supervisord
from supervisor.options import ServerOptions

from vmportal.processes import die_with_parent, show_command

# What the programs import, first what sets Django up.
_MODULES = (
    "vmportal.asgi",
    "vmportal.urls",
    "vmportal.web",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "uvicorn.loops.auto",
    "celery.bin.celery",
    "celery.apps.worker",
    "celery.concurrency.thread",
    "celery.fixups.django",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "channels_redis.pubsub",
    "hypervisors.operations.engine.tasks",
    "hypervisors.operations.hypervisors.connection_tests",
    "hypervisors.management.commands.watch_hypervisors",
    "hypervisors.management.commands.console_proxy",
    "hypervisors.management.commands.transfer_server",
)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2)


class ForkingOptions(ServerOptions):  # type: ignore[misc]
    """What Supervisor does to the system; called in the new child, when its files, directory and umask are set."""

    def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> None:
        if filename == sys.executable:
            _run(argv, env)
        os.execve(filename, argv, env)


def main() -> None:
    _load()
    supervisord.ServerOptions = ForkingOptions
    supervisord.main(sys.argv[1:])


def _load() -> None:
    for name in _MODULES:
        importlib.import_module(name)
    if threading.active_count() > 1:
        # A fork would leave it behind with whatever locks it holds.
        raise RuntimeError(f"A module has started a thread when it was imported: {threading.enumerate()}")
    gc.collect()
    # The collector writes into what it looks at: what is here now is left alone, and stays shared.
    gc.freeze()


def _run(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Be `python argv[1:]`."""
    os.environ.clear()
    os.environ.update(env)
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    show_command(argv)
    die_with_parent(signal.SIGTERM, os.getppid())
    status = _status(argv)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # What was registered for the end is the parent's.
    os._exit(status)


def _status(argv: list[str]) -> int:
    try:
        if argv[1] == "-m":
            sys.argv = argv[2:]
            runpy.run_module(argv[2], run_name="__main__", alter_sys=True)
        else:
            sys.argv = argv[1:]
            runpy.run_path(argv[1], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return int(end.code or 0)
    except KeyboardInterrupt:
        return 130
    except BaseException:  # noqa: BLE001 - a program ends as it would by itself: with a traceback
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
