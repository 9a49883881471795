"""What a guest has mounted from a disk: nothing is said to be unused that may be in use."""

import pytest

from hypervisors.gateway.domains.mounted_disks import FileSystem, points_on

ROOT: FileSystem = ("/", "vda1", "ext4", ["vda"])
# As libvirt tells of disks behind root ports.
UNFOUND: FileSystem = ("/", "vda1", "ext4", [])
VOLUME: FileSystem = ("/srv", "dm-0", "xfs", None)


@pytest.mark.parametrize(
    ("target", "file_systems", "points"),
    [
        ("vda", [ROOT], ["/"]),
        ("vdb", [ROOT], []),
        ("vdb", [], []),
        ("vda", [UNFOUND], ["/"]),
        ("vdb", [UNFOUND], None),
        ("vdb", [ROOT, VOLUME], None),
        ("vda", [ROOT, VOLUME], ["/"]),
        ("vda", [("/a\u202eb", "vda1", "ext4", ["vda"])], ["/a\ufffdb"]),
        ("vda", [(f"/{number}", "vda1", "ext4", ["vda"]) for number in range(12)], [f"/{n}" for n in range(10)]),
    ],
)
def test_where_a_disk_is_mounted(target: str, file_systems: list[FileSystem], points: list[str] | None) -> None:
    assert points_on(target, file_systems) == points
