"""OVF packages as the tests need them: whole ones, and those with one thing wrong."""

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

VMDK_FORMAT = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"


def descriptor(
    disks: Sequence[tuple[str, int, int]] = (("disk1.vmdk", 0, 64),),
    *,
    name: str = "web1",
    extra_items: str = "",
    extra_settings: str = "",
    extra_sections: str = "",
    memory_mib: int = 256,
) -> bytes:
    """As VMware's ovftool writes it. A disk is (file, bytes of it, MiB that the guest sees)."""
    files = "".join(
        f'<File ovf:href="{file}" ovf:id="file{n}" ovf:size="{size}"/>' for n, (file, size, _mib) in enumerate(disks)
    )
    rows = "".join(
        f'<Disk ovf:capacity="{mib}" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk{n}" '
        f'ovf:fileRef="file{n}" ovf:format="{VMDK_FORMAT}"/>'
        for n, (_file, _size, mib) in enumerate(disks)
    )
    drives = "".join(
        f"<Item><rasd:AddressOnParent>{n}</rasd:AddressOnParent><rasd:ElementName>Hard disk {n}</rasd:ElementName>"
        f"<rasd:HostResource>ovf:/disk/vmdisk{n}</rasd:HostResource><rasd:InstanceID>{20 + n}</rasd:InstanceID>"
        "<rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>"
        for n in range(len(disks))
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vmw="http://www.vmware.com/schema/ovf">
 <References>{files}</References>
 <DiskSection><Info>Disks</Info>{rows}</DiskSection>
 <NetworkSection><Info>Networks</Info><Network ovf:name="VM Network"/></NetworkSection>
 <VirtualSystem ovf:id="vm">
  <Info>A machine</Info><Name>{name}</Name>
  <OperatingSystemSection ovf:id="96" vmw:osType="debian11_64Guest"><Info>System</Info></OperatingSystemSection>
  <VirtualHardwareSection><Info>Hardware</Info>
   <Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits><rasd:ElementName>2 CPUs</rasd:ElementName>
    <rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
    <rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
   <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>Memory</rasd:ElementName>
    <rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType>
    <rasd:VirtualQuantity>{memory_mib}</rasd:VirtualQuantity></Item>
   <Item><rasd:ElementName>SCSI 0</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID>
    <rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
   {drives}
   <Item><rasd:AddressOnParent>7</rasd:AddressOnParent><rasd:Connection>VM Network</rasd:Connection>
    <rasd:ElementName>Card 1</rasd:ElementName><rasd:InstanceID>40</rasd:InstanceID>
    <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
   {extra_items}{extra_settings}
  </VirtualHardwareSection>
  {extra_sections}
 </VirtualSystem>
</Envelope>""".encode()


UEFI = '<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>'


def archive(members: Sequence[tuple[str, bytes]], *, format_: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def manifest(members: Sequence[tuple[str, bytes]], algorithm: str = "SHA256") -> bytes:
    lines = [f"{algorithm}({name})= {hashlib.new(algorithm.lower(), content).hexdigest()}" for name, content in members]
    return "\n".join([*lines, ""]).encode()


def stream_optimized(raw: Path) -> bytes:
    """What qemu-img makes of a raw disk."""
    made = raw.with_suffix(".vmdk")
    options = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run(["qemu-img", "convert", *options, raw, made], check=True)
    return made.read_bytes()
