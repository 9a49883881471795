"""What a field's label does not say; without it where the label does."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

HELPS: dict[tuple[str, str], str | Promise] = {
    ("disk", "target_dev"): _("Chosen by itself where it is empty."),
    ("disk", "serial"): _("What the guest knows it by, whatever its place."),
    ("disk", "shareable"): _("Only with a file system that is made for it."),
    ("disk", "discard"): _("Given back, the volume stays small."),
    ("interface", "mac"): _("Made by itself where it is empty."),
    ("interface", "vlan_tags"): _("For example 42, or “42 untagged”. Open vSwitch and SR-IOV take tags."),
    ("interface", "filter_parameters"): _("For example “IP 10.0.0.7”."),
    ("interface", "queues"): _("As many as the guest has vCPUs, at most."),
    ("graphics", "password"): _("Empty leaves it as it is. VNC takes 8 characters of it."),
    ("graphics", "listen_address"): _("0.0.0.0 is reached from everywhere; empty is what the host has configured."),
    ("channel", "target_name"): _("org.qemu.guest_agent.0 is for the guest agent."),
    ("hostdev_usb", "vendor"): _("For example 0x046d, as lsusb shows it."),
    ("hostdev_usb", "product"): _("For example 0xc52b."),
    ("disk", "source_hosts"): _("For example “ceph1.example 6789”."),
    ("graphics", "password_valid_to"): _("In UTC, for example 2030-12-31T23:59:59."),
    ("hostdev_pci", "bus"): _("Of the address that lspci shows: domain:bus:slot.function."),
    ("hostdev_mdev", "uuid"): _("Of a mediated device that the host has made."),
    ("filesystem", "target"): _("The tag that the guest mounts: mount -t virtiofs TAG /mnt."),
    ("filesystem", "driver"): _("virtiofs needs shared memory: see the section Memory."),
    ("memory", "node"): _("A machine needs a NUMA node for it: see the section NUMA."),
    ("vsock", "cid"): _("At least 3; each machine of a host has another."),
    ("memballoon", "stats_period_seconds"): _("0: the guest tells nothing of its memory."),
    ("processor", "vcpus_current"): _("More can be plugged in while it runs, up to the most."),
    ("processor", "vcpus_max"): _("Changes at the next start."),
    ("processor", "cpuset"): _("For example 0-3,8."),
    ("processor", "features"): _("For example “require aes” or “disable vmx”."),
    ("processor", "threads"): _("Sockets × dies × cores × threads is the most vCPUs."),
    ("memory", "current_memory_kib"): _("The balloon gives the guest this much; no more than at most."),
    ("memory", "memory_kib"): _("What it starts with; changes at the next start."),
    ("memory", "max_memory_kib"): _("Needed for memory modules; a NUMA node too."),
    ("memory", "access"): _("Shared directories (virtiofs) need shared memory."),
    ("system", "machine"): _("For example pc-q35-7.2. A guest may ask for new drivers after a change."),
    ("system", "firmware"): _("A system that was installed with the one seldom starts with the other."),
    ("numa", "cells"): _("Number, CPUs, KiB of memory: “0 0-1 1048576” is node 0 with vCPUs 0 and 1 and 1 GiB."),
    ("numa", "cell_memory"): _("Node of the guest, mode, nodes of the host: “0 strict 0-1”."),
    ("numa", "memory_host_nodes"): _("For example 0-1; empty is all of them."),
    ("boot", "reboot_milliseconds"): _("-1: never."),
    ("kernel", "kernel"): _("Started in place of what is on its disks."),
    ("iothreads", "count"): _("Threads for disks apart from QEMU's main loop; a disk names the one that it uses."),
    ("iothreads", "iothreads"): _(
        "Only where their number or pool matters: “1 0 16” is thread 1 with a pool of 0 to 16."
    ),
    ("tuning", "period_microseconds"): _("How often the quota is counted anew; 100000 is usual."),
    ("tuning", "emulator_pin"): _("For example 0-1."),
    ("tuning", "iothread_pins"): _("For example “1 0-1”: I/O thread 1 on CPUs 0 and 1."),
    ("tuning", "hard_limit_kib"): _(
        "Of QEMU as a whole: with less than the guest's memory and some more it is killed."
    ),
    ("tuning", "io_weight"): _("Against other machines', from 10 to 1000."),
    ("tuning", "vcpu_pins"): _("For example “0 2-3”: vCPU 0 on CPUs 2 and 3."),
    ("tuning", "shares"): _("Against other machines', when the host is busy; 1024 is usual."),
    ("tuning", "quota_microseconds"): _("Of each period; -1 is no limit. 50000 of 100000 is half a CPU."),
}
