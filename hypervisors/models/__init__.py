"""What vmportal remembers."""

from hypervisors.models.access import AuditRecord, Role, RoleBinding
from hypervisors.models.addresses import DomainAddress, LeasedAddress
from hypervisors.models.appliances import Appliance
from hypervisors.models.domain_copies import DomainCopy
from hypervisors.models.domain_templates import DomainTemplate
from hypervisors.models.domains import Domain, DomainDefinition
from hypervisors.models.guest_facts import GuestFacts
from hypervisors.models.guest_logins import GuestLogin
from hypervisors.models.guest_ssh_keys import GuestSshKeys
from hypervisors.models.host_listings import HostSecret, NetworkFilter, NodeDevice
from hypervisors.models.hypervisor_capabilities import HypervisorCapabilities
from hypervisors.models.hypervisor_credentials import HypervisorCredentials
from hypervisors.models.hypervisor_pools import HypervisorPool
from hypervisors.models.hypervisors import Hypervisor
from hypervisors.models.installations import Installation
from hypervisors.models.login_sessions import LoginSession
from hypervisors.models.networks import Network
from hypervisors.models.operations import Operation, OperationLock
from hypervisors.models.shared_storage import SharedStorage
from hypervisors.models.snapshots import DomainSnapshot, SnapshotNote, SnapshotSchedule
from hypervisors.models.storage_pools import StoragePool
from hypervisors.models.uploads import TransferLease, Upload
from hypervisors.models.volume_origins import VolumeHead, VolumeOrigin
from hypervisors.models.volume_references import VolumeReference
from hypervisors.models.volumes import Volume
from hypervisors.models.watcher_leases import WatcherLease
from hypervisors.models.xml_versions import XmlVersion

__all__ = [
    "Appliance",
    "AuditRecord",
    "Domain",
    "DomainAddress",
    "DomainCopy",
    "DomainDefinition",
    "DomainSnapshot",
    "DomainTemplate",
    "GuestFacts",
    "GuestLogin",
    "GuestSshKeys",
    "HostSecret",
    "Hypervisor",
    "HypervisorCapabilities",
    "HypervisorCredentials",
    "HypervisorPool",
    "Installation",
    "LeasedAddress",
    "LoginSession",
    "Network",
    "NetworkFilter",
    "NodeDevice",
    "Operation",
    "OperationLock",
    "Role",
    "RoleBinding",
    "SharedStorage",
    "SnapshotNote",
    "SnapshotSchedule",
    "StoragePool",
    "TransferLease",
    "Upload",
    "Volume",
    "VolumeHead",
    "VolumeOrigin",
    "VolumeReference",
    "WatcherLease",
    "XmlVersion",
]
