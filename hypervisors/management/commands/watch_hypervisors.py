"""`manage.py watch_hypervisors`: mirror every hypervisor into the database until told to stop."""

import logging
import os
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from hypervisors.administration.retention import run_retention
from hypervisors.inventory.watcher import Watcher
from hypervisors.operations.domains.creation.install_phase import run_install_watch
from hypervisors.operations.domains.snapshotting.scheduling import run_owner_looks, run_snapshot_schedules
from hypervisors.operations.engine.sweep import run_sweeper
from hypervisors.operations.storage.sharing_upkeep import run_sharing_upkeep

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Mirror every hypervisor into the database and tell browsers what changes, until SIGTERM."
    # They load the code of every page.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        watcher = Watcher(stopping)
        sweeping = {"may_sweep": watcher.leases.keeps_house}
        threading.Thread(target=run_sweeper, args=(stopping,), kwargs=sweeping, name="sweeper", daemon=True).start()
        watching = {"may_watch": watcher.leases.keeps_house}
        threading.Thread(
            target=run_install_watch, args=(stopping,), kwargs=watching, name="installations", daemon=True
        ).start()
        looking = {"may_look": watcher.leases.keeps_house}
        threading.Thread(
            target=run_sharing_upkeep, args=(stopping,), kwargs=looking, name="sharing-upkeep", daemon=True
        ).start()
        taking = {"may_run": watcher.leases.keeps_house}
        threading.Thread(
            target=run_snapshot_schedules, args=(stopping,), kwargs=taking, name="snapshot-schedules", daemon=True
        ).start()
        threading.Thread(
            target=run_owner_looks, args=(stopping,), kwargs=taking, name="snapshot-owners", daemon=True
        ).start()
        cleaning = {"may_clean": watcher.leases.keeps_house}
        threading.Thread(target=run_retention, args=(stopping,), kwargs=cleaning, name="retention", daemon=True).start()
        logger.info("Watching hypervisors.")
        watcher.run()
        logger.info("Stopped.")
        # Threads that hang in a call to a frozen hypervisor would hold up an orderly exit for ever.
        logging.shutdown()
        os._exit(0)
