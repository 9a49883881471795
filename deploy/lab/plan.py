"""What a lab is made of: names, addresses and paths, all following from its name, its number and its directory."""

import dataclasses
import json
import uuid
from dataclasses import dataclass
from pathlib import Path

MAX_HOSTS = 32
_UUIDS = uuid.UUID("6f1d4c55-6f0e-4a39-8d5f-2f3c0f9d7a10")


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """One hypervisor. `number` counts from 1; `sasl`: it wants a user and a password on tcp and tls."""

    lab_name: str
    lab_number: int
    number: int
    directory: Path
    sasl: bool

    @property
    def name(self) -> str:
        return f"{self.lab_name}-host{self.number}"

    @property
    def namespace(self) -> str:
        return f"vmportal-{self.name}"

    @property
    def address(self) -> str:
        return f"10.{self.lab_number}.0.{10 + self.number}"

    @property
    def mac(self) -> str:
        """Fixed: a new one after a restart would meet the neighbours' stale ARP entries for up to 70 s."""
        return f"02:00:0a:{self.lab_number:02x}:00:{10 + self.number:02x}"

    @property
    def switch_port(self) -> str:
        return f"host{self.number}"

    @property
    def host_uuid(self) -> str:
        return str(uuid.uuid5(_UUIDS, self.name))

    @property
    def uri(self) -> str:
        return f"qemu+tcp://{self.address}/system"

    @property
    def tls_uri(self) -> str:
        return f"qemu+tls://{self.address}/system"

    @property
    def ssh_uri(self) -> str:
        return f"qemu+ssh://root@{self.address}/system"


@dataclass(frozen=True, kw_only=True)
class LabPlan:
    """A whole lab. `sasl_host` is the number of the host that wants a password, 0 for none."""

    name: str
    number: int
    directory: Path
    host_count: int
    sasl_host: int = 0

    @property
    def machine_link(self) -> str:
        """The machine's own end into the lab's network; a link's name has 15 characters at most."""
        return f"vmplab{self.number}"

    @property
    def machine_address(self) -> str:
        return f"10.{self.number}.0.1"

    @property
    def switch_namespace(self) -> str:
        return f"vmportal-{self.name}-switch"

    @property
    def shared_path(self) -> Path:
        """The mount that all hosts see at the same place."""
        return Path(f"/srv/vmportal-{self.name}/shared")

    @property
    def pool_path(self) -> Path:
        return self.shared_path / "images"

    @property
    def serial_path(self) -> Path:
        return self.shared_path / "serial"

    @property
    def pki_path(self) -> Path:
        """The client's: cacert.pem, clientcert.pem, clientkey.pem, as libvirt's `pkipath=` wants them."""
        return self.directory / "pki"

    @property
    def ssh_key_path(self) -> Path:
        return self.directory / "ssh" / "id_ed25519"

    @property
    def file(self) -> Path:
        """What others read; it is there when the lab has come up whole."""
        return self.directory / "lab.json"

    @property
    def hosts(self) -> tuple[HostPlan, ...]:
        return tuple(self._host(number) for number in range(1, self.host_count + 1))

    def _host(self, number: int) -> HostPlan:
        return HostPlan(
            lab_name=self.name,
            lab_number=self.number,
            number=number,
            directory=self.directory / "hosts" / f"host{number}",
            sasl=number == self.sasl_host,
        )

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self) | {"directory": str(self.directory)}, indent=2)


def plan_from_json(text: str) -> LabPlan:
    fields = json.loads(text)
    return LabPlan(**(fields | {"directory": Path(fields["directory"])}))
