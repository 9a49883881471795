"""What vmportal remembers."""

from hypervisors.models.domains import Domain, DomainDefinition, DomainGrant
from hypervisors.models.hypervisor_pools import HypervisorPool
from hypervisors.models.hypervisors import Hypervisor
from hypervisors.models.networks import Network
from hypervisors.models.operations import Operation
from hypervisors.models.storage_pools import StoragePool

__all__ = [
    "Domain",
    "DomainDefinition",
    "DomainGrant",
    "Hypervisor",
    "HypervisorPool",
    "Network",
    "Operation",
    "StoragePool",
]
