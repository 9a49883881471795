"""What types of storage pools and the fields of their form are called, and what is said beside them."""

from typing import Any

from django.utils.translation import gettext_lazy as _

TYPE_LABELS = {
    "dir": _("Folder"),
    "netfs": _("NFS, SMB or Gluster share, mounted"),
    "logical": _("LVM volume group"),
    "fs": _("Disk with a file system"),
    "disk": _("Whole disk, by partitions"),
    "zfs": _("ZFS pool"),
    "mpath": _("Multipath devices"),
    "scsi": _("SCSI or Fibre Channel adapter"),
    "iscsi": _("iSCSI target"),
    "iscsi-direct": _("iSCSI target, without logging the host in"),
    "rbd": _("Ceph RBD"),
    "gluster": _("Gluster volume, without mounting it"),
}
TYPE_GROUPS = (
    (_("On the host"), ("dir", "logical", "fs", "disk", "zfs", "mpath", "scsi")),
    (_("On the network"), ("netfs", "iscsi", "iscsi-direct", "rbd", "gluster")),
)
BUILDING_LABELS = {
    "folder": {"": _("Use the folder as it is"), "folder": _("Create the folder if it is not there")},
    "disk": {
        "": _("Use what is on the disk"),
        "format": _("Format it; refused where it holds something"),
        "overwrite": _("Format it, and lose whatever is on it"),
    },
}
# What a field is called where the type has its own word for it.
LABELS: dict[tuple[str, str], Any] = {
    ("dir", "target_path"): _("Folder"),
    ("netfs", "target_path"): _("Mounted at"),
    ("fs", "target_path"): _("Mounted at"),
    ("netfs", "directory"): _("Exported folder or share"),
    ("gluster", "directory"): _("Folder in the volume"),
    ("logical", "source_name"): _("Volume group"),
    ("rbd", "source_name"): _("Ceph pool"),
    ("gluster", "source_name"): _("Gluster volume"),
    ("zfs", "source_name"): _("ZFS pool"),
    ("rbd", "hosts"): _("Monitors"),
    ("iscsi", "devices"): _("Target"),
    ("iscsi-direct", "devices"): _("Target"),
    ("logical", "devices"): _("Disks to make it of"),
}
HINTS: dict[tuple[str, str], Any] = {
    ("dir", "target_path"): _("On the host, or on storage that every host mounts at the same place."),
    ("logical", "devices"): _("Only needed to make a new volume group."),
    ("logical", "target_path"): _("Empty for the usual place, /dev and its name."),
    ("rbd", "hosts"): _("Several, separated by commas; with a port after a colon if it is not the usual one."),
    ("gluster", "hosts"): _("Several, separated by commas; with a port after a colon if it is not the usual one."),
    ("netfs", "protocol_version"): _("Such as 4.2; empty for what server and host agree on."),
}
PLACEHOLDERS: dict[tuple[str, str], str] = {
    ("dir", "target_path"): "/var/lib/libvirt/images",
    ("netfs", "target_path"): "/var/lib/libvirt/nas1",
    ("netfs", "directory"): "/export/vms",
    ("fs", "devices"): "/dev/sdb1",
    ("logical", "devices"): "/dev/sdb, /dev/sdc",
    ("disk", "devices"): "/dev/sdb",
    ("zfs", "devices"): "/dev/sdb",
    ("iscsi", "devices"): "iqn.2024-01.org.example:storage",
    ("iscsi-direct", "devices"): "iqn.2024-01.org.example:storage",
    ("scsi", "adapter"): "scsi_host3",
    ("rbd", "hosts"): "mon1, mon2:6789",
}
HINTS_OF_FIELDS = {
    "secret": _("Its UUID or its usage: the password itself stands in libvirt on the host, and never here."),
    "initiator": _("The iSCSI name of the host itself."),
}
