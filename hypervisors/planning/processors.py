"""The processor of a new guest: as much as every host of the pool can give, so that it can move between them.

https://libvirt.org/formatdomain.html#cpu-model-and-topology
"""

from collections.abc import Sequence

from hypervisors.libvirtxml.domain_capabilities import DomainCapabilities
from hypervisors.libvirtxml.domain_spec import CpuSpec

# From the least to the most capable; the variants with microcode mitigations come after the plain ones.
_MODELS = (
    "qemu64", "kvm64", "Opteron_G1", "Conroe", "Opteron_G2", "Penryn", "Opteron_G3", "Nehalem", "Nehalem-IBRS",
    "Westmere", "Westmere-IBRS", "SandyBridge", "SandyBridge-IBRS", "Opteron_G4", "IvyBridge", "IvyBridge-IBRS",
    "Opteron_G5", "Haswell-noTSX", "Haswell-noTSX-IBRS", "Haswell", "Haswell-IBRS", "Broadwell-noTSX",
    "Broadwell-noTSX-IBRS", "Broadwell", "Broadwell-IBRS", "Skylake-Client-noTSX-IBRS", "Skylake-Client",
    "Skylake-Client-IBRS", "EPYC", "EPYC-IBPB", "Skylake-Server-noTSX-IBRS", "Skylake-Server", "Skylake-Server-IBRS",
    "Cascadelake-Server-noTSX", "Cascadelake-Server", "Cooperlake", "EPYC-Rome", "EPYC-Milan",
    "Icelake-Server-noTSX", "Icelake-Server", "SapphireRapids", "EPYC-Genoa",
)  # fmt: skip
_RANK = {model: rank for rank, model in enumerate(_MODELS)}
# What plain emulation offers on every version of QEMU: the second level of x86-64, which today's systems ask for.
_EMULATED = ("Westmere", "Nehalem", "Penryn", "qemu64")


def safe_processor(domains: Sequence[DomainCapabilities], *, virt_type: str, wants_v3: bool = False) -> CpuSpec:
    """`domains` are those of all hosts that it may run on. `wants_v3`: the system does not start on less."""
    if not domains:
        return CpuSpec(mode="")
    if domains[0].arch == "aarch64":
        return _arm_processor(domains, virt_type)
    if virt_type == "qemu":
        return _emulated_processor(domains, wants_v3=wants_v3)
    if _are_alike(domains) and all("host-model" in domain.cpu_modes for domain in domains):
        return CpuSpec(mode="host-model")
    return _named(_best(_usable(domains))) or CpuSpec(mode="host-model")


def common_values(lists: Sequence[Sequence[str]]) -> frozenset[str]:
    """What stands in each of them."""
    return frozenset.intersection(*map(frozenset, lists)) if lists else frozenset()


def _are_alike(domains: Sequence[DomainCapabilities]) -> bool:
    """host-model then becomes the same everywhere."""
    return len({(domain.host_model, domain.host_model_features) for domain in domains}) == 1


def _emulated_processor(domains: Sequence[DomainCapabilities], *, wants_v3: bool) -> CpuSpec:
    if wants_v3 and "maximum" in common_values([domain.cpu_modes for domain in domains]):
        return CpuSpec(mode="maximum")
    usable = _usable(domains)
    return _named(next((model for model in _EMULATED if model in usable), "")) or CpuSpec(mode="")


def _arm_processor(domains: Sequence[DomainCapabilities], virt_type: str) -> CpuSpec:
    if virt_type == "kvm":
        return CpuSpec(mode="host-passthrough")
    return _named("cortex-a57" if "cortex-a57" in _usable(domains) else "") or CpuSpec(mode="maximum")


def _usable(domains: Sequence[DomainCapabilities]) -> frozenset[str]:
    return common_values([domain.cpu_models for domain in domains])


def _best(models: frozenset[str]) -> str:
    return max((model for model in models if model in _RANK), key=_RANK.__getitem__, default="")


def _named(model: str) -> CpuSpec | None:
    return CpuSpec(mode="custom", model=model) if model else None
