"""vmportal on several machines: each a network namespace and a host name of its own on the lab's network."""

import http.cookiejar
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from deploy.configuration import nginx_path
from deploy.environment import REPOSITORY
from deploy.lab import network
from deploy.lab.lab import Lab
from deploy.lab.plan import HostPlan
from deploy.ports import free_port
from deploy.services import private_postgresql, private_redis
from tests.watching import wait_until

WEB_PORT, CONSOLE_PORT, TRANSFER_PORT = 8001, 6080, 6090
WEB_PROCESSES = 2
# Above the lab's own hosts.
_FIRST_NUMBER = 40
QUEUES = ("operations", "migrations", "storage")
PASSWORD = "only-for-this-test"


class AppMachine:
    """One machine that runs every process of vmportal."""

    def __init__(self, lab: Lab, number: int, environment: Mapping[str, str], log_dir: Path) -> None:
        self._lab = lab
        self._plan = HostPlan(
            lab_name=lab.name, lab_number=lab.plan.number, number=_FIRST_NUMBER + number, directory=log_dir, sasl=False
        )
        self.name = f"app{number}"
        self._log_dir = log_dir
        own = {"VMPORTAL_CONSOLE_HOST": self.address, "FORWARDED_ALLOW_IPS": lab.plan.machine_address}
        self._environment = {**environment, **own}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        return self._plan.address

    def plug_in(self) -> None:
        network.plug_in(self._lab.plan, self._plan)

    def unplug(self) -> None:
        for name in list(self._processes):
            self.stop(name)
        network.unplug(self._lab.plan, self._plan)

    def start(self, name: str) -> None:
        """web, console, transfer, watcher, or the worker of a queue."""
        inside = ["nsenter", f"--net=/run/netns/{self._plan.namespace}", "unshare", "--uts", "sh", "-c"]
        named = [*inside, 'hostname "$0" && exec setpriv --pdeathsig KILL -- "$@"', self.name]
        with (self._log_dir / f"{self.name}-{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*named, sys.executable, *self._arguments(name)],
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait(20)

    def stop(self, name: str) -> None:
        process = self._processes.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)

    def kill_a_web_process(self) -> None:
        parent = self._processes["web"].pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)

    def _arguments(self, name: str) -> list[str]:
        if name == "web":
            listen = f"{self.address}:{WEB_PORT}"
            return ["-m", "vmportal.web", "--listen", listen, "--processes", str(WEB_PROCESSES)]
        if name in QUEUES:
            node = ["-n", f"{name}@%h", "-Q", name, "-P", "threads", "-c", "4"]
            return ["-m", "celery", "-A", "vmportal", "worker", *node, "--without-mingle", "--without-gossip"]
        commands = {"console": "console_proxy", "transfer": "transfer_server", "watcher": "watch_hypervisors"}
        return ["manage.py", commands[name]]


class Cluster:
    """Two machines, and nginx before them."""

    def __init__(self, lab: Lab, directory: Path, *, database_url: str, redis_url: str) -> None:
        self.lab = lab
        self.database_url = database_url
        self._directory = directory
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        ours = {
            "DJANGO_SETTINGS_MODULE": "vmportal.settings",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "VMPORTAL_DATA_DIR": str(directory),
            "VMPORTAL_SECRET_KEY": secrets.token_urlsafe(40),
            "VMPORTAL_ENCRYPTION_KEY": Fernet.generate_key().decode(),
            "VMPORTAL_ALLOWED_HOSTS": "127.0.0.1",
            "VMPORTAL_PUBLIC_ORIGINS": self.url,
            "VMPORTAL_CONSOLE_PORT": str(CONSOLE_PORT),
            "VMPORTAL_TRANSFER_PORT": str(TRANSFER_PORT),
            "VMPORTAL_ALLOW_TEST_DRIVER": "1",
            "PYTHONUNBUFFERED": "1",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("VMPORTAL_")}
        self.environment = inherited | ours
        self.machines = [AppMachine(lab, number, self.environment, directory) for number in (1, 2)]

    def manage(self, *arguments: str, **environment: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=REPOSITORY, env=self.environment | environment, check=True)

    def machine(self, instance: str) -> AppMachine:
        """That on which the instance of this id runs."""
        return next(machine for machine in self.machines if instance.startswith(f"{machine.name}:"))

    @contextmanager
    def running(self) -> Iterator[None]:
        with ExitStack() as cleanup:
            for machine in self.machines:
                cleanup.callback(machine.unplug)
                machine.plug_in()
            for machine in self.machines:
                for name in ("web", "console", "transfer", "watcher", *QUEUES):
                    machine.start(name)
            nginx = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", nginx_path(), "-e", "stderr", "-c", str(self._nginx_conf())]
            )
            cleanup.callback(nginx.wait, 20)
            cleanup.callback(nginx.terminate)
            yield

    def _nginx_conf(self) -> Path:
        pages = REPOSITORY / "deploy" / "nginx"
        web = [f"server {m.address}:{WEB_PORT + n} max_fails=0;" for m in self.machines for n in range(WEB_PROCESSES)]
        consoles = [f"server {machine.address}:{CONSOLE_PORT} max_fails=0;" for machine in self.machines]
        transfers = [f"server {machine.address}:{TRANSFER_PORT} max_fails=0;" for machine in self.machines]
        scratch = "".join(
            f'{kind}_temp_path "{self._directory}/nginx-{kind}";\n'
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        path = self._directory / "nginx.conf"
        path.write_text(
            f'daemon off;\nuser root root;\npid "{self._directory}/nginx.pid";\nevents {{}}\nhttp {{\naccess_log off;\n'
            f'{scratch}include "{pages}/http.conf";\n'
            f"upstream vmportal_web {{ zone web 64k; least_conn; {' '.join(web)} keepalive 16; }}\n"
            f"upstream vmportal_console {{ {' '.join(consoles)} }}\n"
            f"upstream vmportal_transfer {{ {' '.join(transfers)} }}\n"
            f"server {{ listen 127.0.0.1:{self._port}; set $vmportal_static_root {self._directory}/static;\n"
            f'set $vmportal_pages "{pages}"; include "{pages}/server.conf"; }}\n}}\n'
        )
        return path


class Person:
    """Someone with a browser, as far as a form needs one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    def get(self, path: str) -> tuple[int, str]:
        """(0, …) when nobody answers."""
        return self._ask(urllib.request.Request(f"{self._url}{path}"))

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        token = next(cookie.value for cookie in self._cookies if cookie.name == "csrftoken")
        body = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token}).encode()
        headers = {"Origin": self._url, "Referer": f"{self._url}{path}"}
        return self._ask(urllib.request.Request(f"{self._url}{path}", data=body, headers=headers))

    def sign_in(self, name: str, password: str) -> None:
        assert self.get("/accounts/login/")[0] == 200
        answer: list[tuple[int, str]] = []

        def is_answered() -> bool:
            """Each process knows for a second more that the database was away."""
            answer[:] = [self.post("/accounts/login/", login=name, password=password)]
            return answer[0][0] != 503

        wait_until(is_answered, seconds=30)
        assert answer[0][0] == 200, answer[0][1]

    def health(self) -> dict[str, Any]:
        return json.loads(self.get("/healthz")[1] or "{}")

    def is_well(self) -> bool:
        return self.get("/healthz")[0] == 200

    def _ask(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with self._opener.open(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""


@contextmanager
def running_cluster(lab: Lab, directory: Path) -> Iterator[Cluster]:
    """Two machines over PostgreSQL and Redis on the lab's own network, well, with the lab's hosts in one pool."""
    address = lab.plan.machine_address
    lab_network = re.sub(r"\.\d+$", ".0/24", address)
    with private_redis(address) as redis_url, private_postgresql(address, network=lab_network) as database_url:
        cluster = Cluster(lab, directory, database_url=database_url, redis_url=redis_url)
        cluster.manage("migrate", "-v", "0")
        cluster.manage("collectstatic", "-v", "0", "--noinput")
        superuser = ["createsuperuser", "--noinput", "--username", "admin", "--email", ""]
        cluster.manage(*superuser, DJANGO_SUPERUSER_PASSWORD=PASSWORD)
        for host in lab.hosts:
            cluster.manage("register_hypervisor", "-v", "0", "--pool", "lab", "--name", host.name, "--uri", host.uri)
        cluster.manage(
            *("register_hypervisor", "-v", "0", "--pool", "other", "--name", "elsewhere", "--uri", "test:///default")
        )
        with cluster.running():
            person = Person(cluster.url)
            wait_until(person.is_well, seconds=60)
            yield cluster
