"""The privileges that roles are made of, as plain strings that go into rows; see docs/glossary.md."""

from enum import StrEnum


class Privilege(StrEnum):
    """One thing that a role lets a person do, as "noun.verb"."""

    DOMAIN_VIEW = "domain.view"  # see it, its history, and its screen without touching it
    DOMAIN_CONSOLE = "domain.console"  # type and click in it
    DOMAIN_OPERATE = "domain.operate"  # start, stop, pause, save, reset
    DOMAIN_CONFIGURE = "domain.configure"  # hardware, rename, describe, start with the host
    DOMAIN_SNAPSHOT = "domain.snapshot"  # take, revert to and delete snapshots, by hand and by schedule
    DOMAIN_MIGRATE = "domain.migrate"
    DOMAIN_CREATE = "domain.create"  # make new ones on a host
    DOMAIN_DELETE = "domain.delete"  # with those of its disks that nobody else needs
    DOMAIN_GRANT = "domain.grant"  # give others a role on it, of what one may oneself
    HYPERVISOR_VIEW = "hypervisor.view"
    HYPERVISOR_MANAGE = "hypervisor.manage"  # add, change, remove, enable; pools too
    STORAGE_VIEW = "storage.view"
    STORAGE_MANAGE = "storage.manage"
    NETWORK_VIEW = "network.view"
    NETWORK_MANAGE = "network.manage"
    PEOPLE_MANAGE = "people.manage"  # accounts, and roles on anything
    AUDIT_VIEW = "audit.view"


# Who has all of these on everything sees whatever changes anywhere.
VIEW_PRIVILEGES = frozenset(
    {Privilege.DOMAIN_VIEW, Privilege.HYPERVISOR_VIEW, Privilege.STORAGE_VIEW, Privilege.NETWORK_VIEW}
)
# What a role can give on a single virtual machine.
DOMAIN_PRIVILEGES = frozenset(privilege for privilege in Privilege if privilege.startswith("domain.")) - {
    Privilege.DOMAIN_CREATE
}
