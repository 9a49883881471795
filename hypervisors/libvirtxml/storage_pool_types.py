"""What each type of storage pool is made of, https://libvirt.org/storage.html: which fields it has and must have."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PoolType:
    """One type. `fields` are names of StoragePoolSpec's, in the order in which people are asked for them."""

    name: str
    fields: tuple[str, ...]
    required: tuple[str, ...]
    # What <source><format> can say; the first is what is proposed. Empty: it has none.
    formats: tuple[str, ...] = ()
    # What <auth> is of; "" where the source takes none.
    auth_type: str = ""
    takes_several_hosts: bool = False
    takes_several_devices: bool = False
    # A target path that nobody has a reason to change; "%s" is the source's name.
    usual_target: str = ""
    # What libvirt's "build" does with it: makes the "folder", writes onto the "disk" what is needed. "": nothing.
    building: str = ""
    # Whether a volume made in it through one host is a file that other hosts could read.
    holds_files: bool = False
    # Whether it is the same storage from wherever its source is reached.
    is_network: bool = False


_ISCSI_TARGET = "/dev/disk/by-path"

POOL_TYPES: dict[str, PoolType] = {
    one.name: one
    for one in (
        PoolType(
            name="dir",
            fields=("target_path",),
            required=("target_path",),
            building="folder",
            holds_files=True,
        ),
        PoolType(
            name="fs",
            fields=("devices", "format", "target_path"),
            required=("devices", "target_path"),
            formats=(
                *("auto", "ext4", "xfs", "ext3", "ext2", "gfs2", "ocfs2", "gfs", "vfat", "iso9660", "udf"),
                *("ufs", "hfs+", "vmfs"),
            ),
            building="disk",
            holds_files=True,
        ),
        PoolType(
            name="netfs",
            fields=("hosts", "directory", "format", "protocol_version", "target_path"),
            required=("hosts", "directory", "target_path"),
            formats=("nfs", "auto", "glusterfs", "cifs"),
            building="folder",
            holds_files=True,
            is_network=True,
        ),
        PoolType(
            name="logical",
            fields=("source_name", "devices", "target_path"),
            required=("source_name",),
            formats=("lvm2", "unknown"),
            takes_several_devices=True,
            usual_target="/dev/%s",
            building="disk",
        ),
        PoolType(
            name="disk",
            fields=("devices", "format", "target_path"),
            required=("devices", "target_path"),
            formats=("gpt", "dos", "dvh", "mac", "bsd", "pc98", "sun", "lvm2", "unknown"),
            usual_target="/dev",
            building="disk",
        ),
        PoolType(
            name="iscsi",
            fields=("hosts", "devices", "initiator", "auth_username", "secret", "target_path"),
            required=("hosts", "devices", "target_path"),
            auth_type="chap",
            usual_target=_ISCSI_TARGET,
            is_network=True,
        ),
        PoolType(
            name="iscsi-direct",
            fields=("hosts", "devices", "initiator", "auth_username", "secret"),
            required=("hosts", "devices", "initiator"),
            auth_type="chap",
            is_network=True,
        ),
        PoolType(
            name="scsi",
            fields=("adapter", "target_path"),
            required=("adapter", "target_path"),
            usual_target=_ISCSI_TARGET,
        ),
        PoolType(name="mpath", fields=("target_path",), required=("target_path",), usual_target="/dev/mapper"),
        PoolType(
            name="rbd",
            fields=("hosts", "source_name", "auth_username", "secret"),
            required=("hosts", "source_name"),
            auth_type="ceph",
            takes_several_hosts=True,
            is_network=True,
        ),
        PoolType(
            name="gluster",
            fields=("hosts", "source_name", "directory"),
            required=("hosts", "source_name"),
            takes_several_hosts=True,
            is_network=True,
        ),
        PoolType(
            name="zfs",
            fields=("source_name", "devices"),
            required=("source_name",),
            building="disk",
            usual_target="/dev/zvol/%s",
        ),
    )
}
