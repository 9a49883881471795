"""The tree of errors; `str(error)` is fit for an operator: what was asked, what was said, what to do next.

VmportalError
├── HypervisorError            a hypervisor could not be reached or refused
│   ├── ConnectionFailed
│   │   ├── HostNotFound           the name does not resolve
│   │   ├── ConnectionRefused      nothing listens there
│   │   ├── ConnectionTimedOut     no answer (dropped packets, frozen daemon)
│   │   ├── AuthenticationFailed   SASL password, ssh key or client certificate rejected
│   │   ├── CertificateInvalid     the server's certificate is not one we trust
│   │   ├── HostKeyChanged         the ssh host key is not the one we know
│   │   ├── SocketDenied           no permission on libvirt's socket, or no such socket
│   │   └── CredentialsUnreadable  what is stored to sign in with cannot be decrypted
│   ├── ConnectionLost         an open connection broke
│   ├── NotFound               no such domain, network, pool there
│   ├── OperationRefused       libvirt says the object is in the wrong state, or does not support it
│   │   ├── NameTaken              another object has the name
│   │   ├── StoragePoolFull        no space is left
│   │   ├── StoragePoolInactive    the storage pool is not started
│   │   ├── StorageConflict        another storage pool is on the same storage
│   │   ├── StorageHoldsData       something would be written over or deleted
│   │   ├── FolderMissing          the storage pool's folder is not there
│   │   ├── NetworkConflict        another network, or the host itself, has its addresses or its bridge
│   │   ├── DeviceMissing          the device it is on is not there
│   │   └── StorageBusy            a volume or its storage pool is being worked on: later
│   ├── JobBusy                another job holds the domain (libvirt code 68)
│   ├── OperationAborted       a job was cancelled (libvirt code 78)
│   └── DomainNotAnswering     QEMU or the guest agent does not answer
├── InvalidUri                 a URI that cannot be a hypervisor's
├── NotPermitted               the person's roles do not allow it
├── Conflict                   somebody changed or holds it meanwhile
└── NotPossible                what was asked cannot be done now; says why
"""


class VmportalError(Exception):
    """Anything that vmportal itself reports to an operator."""


class HypervisorError(VmportalError):
    """A hypervisor could not be reached or refused; `libvirt_code` is libvirt's error number, if it was one."""

    def __init__(self, message: str, *, libvirt_code: int | None = None) -> None:
        super().__init__(message)
        self.libvirt_code = libvirt_code


class ConnectionFailed(HypervisorError):
    """No connection could be opened."""


class HostNotFound(ConnectionFailed):
    """The host's name does not resolve."""


class ConnectionRefused(ConnectionFailed):
    """The host answers, but nothing listens there."""


class ConnectionTimedOut(ConnectionFailed):
    """No answer in time."""


class AuthenticationFailed(ConnectionFailed):
    """The password, key or client certificate was rejected."""


class CertificateInvalid(ConnectionFailed):
    """The server's certificate is not signed by our CA, has expired, or names another host."""


class HostKeyChanged(ConnectionFailed):
    """The ssh host key is unknown or differs from the one accepted before."""


class SocketDenied(ConnectionFailed):
    """libvirt's local socket is missing or may not be opened by this user."""


class CredentialsUnreadable(ConnectionFailed):
    """The stored credentials were encrypted with a key that we do not have."""


class ConnectionLost(HypervisorError):
    """An open connection broke; reopen it."""


class NotFound(HypervisorError):
    """The hypervisor has no such object."""


class OperationRefused(HypervisorError):
    """libvirt refused: wrong state, not supported, or a failure inside QEMU."""


class NameTaken(OperationRefused):
    """Another object has the name."""


class StoragePoolFull(OperationRefused):
    """No space is left in the storage pool."""


class StoragePoolInactive(OperationRefused):
    """The storage pool is not started."""


class StorageConflict(OperationRefused):
    """Another storage pool of the host is on the same storage."""


class StorageHoldsData(OperationRefused):
    """Something is there that would be written over or deleted."""


class FolderMissing(OperationRefused):
    """The storage pool's folder is not there."""


class NetworkConflict(OperationRefused):
    """Another network, or the host itself, has the network's addresses or its bridge."""


class DeviceMissing(OperationRefused):
    """The device that the storage pool or the network is on is not there."""


class StorageBusy(OperationRefused):
    """The volume, or its storage pool, is in use by something that ends by itself or must end first."""


class JobBusy(HypervisorError):
    """Another job holds the domain."""


class OperationAborted(HypervisorError):
    """The job was cancelled."""


class DomainNotAnswering(HypervisorError):
    """QEMU or the guest agent does not answer."""


class InvalidUri(VmportalError):
    """Not a URI that a hypervisor can have."""


class NotPermitted(VmportalError):
    """The person's roles do not allow it; with `is_visible` they may know that the object exists, and why not."""

    def __init__(self, message: str, *, is_visible: bool = False) -> None:
        super().__init__(message)
        self.is_visible = is_visible


class Conflict(VmportalError):
    """Somebody else changed or holds the object."""


class NotPossible(VmportalError):
    """What was asked cannot be done now; the text says why and what would make it possible."""
