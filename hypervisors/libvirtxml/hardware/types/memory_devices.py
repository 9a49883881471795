"""DIMMs, virtio-mem, shared memory and the balloon, https://libvirt.org/formatdomain.html#memory-devices."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import NODES, Field, Values, when
from hypervisors.libvirtxml.hardware.paths import make_at, remove_at
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType, no_address
from hypervisors.libvirtxml.hardware.types.words import ON_OFF, VIRTIO_MODELS

_NVDIMM = when(model=("nvdimm", "virtio-pmem"))
_VIRTIO_MEM = when(model="virtio-mem")

_MEMORY_FIELDS = (
    Field(
        "model",
        "@model",
        "choice",
        choices=("dimm", "virtio-mem", "nvdimm", "virtio-pmem"),
        default="dimm",
        required=True,
    ),
    Field("access", "@access", "choice", choices=("shared", "private")),
    Field("discard", "@discard", "flag", only_if=when(model=("dimm", "virtio-mem"))),
    Field("source_path", "source/path", "path", only_if=_NVDIMM, required=True),
    Field("page_size_kib", "source/pagesize", "size_kib", minimum=4, only_if=when(model=("dimm", "virtio-mem"))),
    Field("host_nodes", "source/nodemask", pattern=NODES, only_if=when(model=("dimm", "virtio-mem"))),
    Field("size_kib", "target/size", "size_kib", minimum=1024, required=True),
    Field("node", "target/node", "number", maximum=1023, only_if=when(model=("dimm", "virtio-mem", "nvdimm"))),
    Field("block_kib", "target/block", "size_kib", minimum=1024, only_if=_VIRTIO_MEM),
    Field("requested_kib", "target/requested", "size_kib", only_if=_VIRTIO_MEM),
    Field("label_kib", "target/label/size", "size_kib", minimum=128, only_if=when(model="nvdimm")),
    Field("readonly", "target/readonly", "presence", only_if=when(model="nvdimm")),
)

_SHMEM_FIELDS = (
    Field("name", "@name", pattern=r"[^/]{1,200}", required=True),
    Field("role", "@role", "choice", choices=("master", "peer")),
    Field(
        "model",
        "model/@type",
        "choice",
        choices=("ivshmem-plain", "ivshmem-doorbell"),
        default="ivshmem-plain",
        required=True,
    ),
    Field("size_kib", "size", "size_kib", minimum=1024, only_if=when(model="ivshmem-plain")),
    Field("server_path", "server/@path", "path", only_if=when(model="ivshmem-doorbell")),
    Field("msi_vectors", "msi/@vectors", "number", minimum=1, maximum=64, only_if=when(model="ivshmem-doorbell")),
    Field("msi_io_events", "msi/@ioeventfd", "flag", choices=ON_OFF, only_if=when(model="ivshmem-doorbell")),
)

_BALLOON_FIELDS = (
    Field("model", "@model", "choice", choices=(*VIRTIO_MODELS, "none"), required=True),
    Field(
        "stats_period_seconds",
        "stats/@period",
        "number",
        minimum=1,
        maximum=2**31 - 1,
        only_if=when(model=VIRTIO_MODELS),
    ),
    Field("autodeflate", "@autodeflate", "flag", choices=ON_OFF, only_if=when(model=VIRTIO_MODELS)),
    Field("free_page_reporting", "@freePageReporting", "flag", choices=ON_OFF, only_if=when(model=VIRTIO_MODELS)),
)


def _check_memory(values: Values) -> None:
    size, requested, block = (values.get(name) or 0 for name in ("size_kib", "requested_kib", "block_kib"))
    if values["model"] == "virtio-mem" and int(requested) > int(size):
        raise ValueError("What is requested of a virtio-mem device is at most its size.")
    if values["model"] == "virtio-pmem" and values.get("access") == "private":
        raise ValueError("virtio-pmem is memory that is shared.")
    if int(values.get("label_kib") or 0) >= int(size):
        raise ValueError("The label of a persistent memory is a part of its size.")
    if int(block) & (int(block) - 1):
        raise ValueError("A virtio-mem device's block size is a power of two.")
    if block and (int(size) % int(block) or int(requested) % int(block)):
        raise ValueError("A virtio-mem device's sizes are multiples of its block size.")


def _check_shmem(values: Values) -> None:
    size = values.get("size_kib") or 0
    if size and int(size) & (int(size) - 1):
        raise ValueError("Shared memory's size is a power of two.")


def _settle_shmem(element: etree._Element, before: Values, after: Values) -> None:
    """One with interrupts has a server, of the host's own making where no path is named."""
    if after["model"] == "ivshmem-doorbell":
        make_at(element, "server")
    else:
        remove_at(element, "server")
        remove_at(element, "msi")


MEMORY_DEVICES = (
    DeviceType(
        key="memory",
        tag="memory",
        fields=_MEMORY_FIELDS,
        check=_check_memory,
        settle=no_address("model"),
        summary=("model", "source_path"),
    ),
    DeviceType(
        key="shmem",
        tag="shmem",
        fields=_SHMEM_FIELDS,
        identity=(("@name",),),
        check=_check_shmem,
        settle=_settle_shmem,
        summary=("name", "model"),
    ),
    DeviceType(
        key="memballoon",
        tag="memballoon",
        fields=_BALLOON_FIELDS,
        is_counted=True,
        most=1,
        defaults=(("model", "virtio"),),
        settle=no_address("model"),
        summary=("model",),
    ),
)
