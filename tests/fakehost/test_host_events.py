"""What libvirt tells of a host's own things the moment they change, against its test driver."""

from hypervisors.models import HostSecret, Network, NodeDevice
from tests.fakehost.conftest import FakeHosts
from tests.watching import wait_until


def adapter(number: int, *, parent: str = "computer") -> str:
    return (
        f"<device><name>scsi_host{number}</name><parent>{parent}</parent><capability type='scsi_host'>"
        f"<host>{number}</host><capability type='fc_host'><wwnn>20000000123412{number:02}</wwnn>"
        f"<wwpn>10000000123412{number:02}</wwpn></capability>"
        "<capability type='vport_ops'><max_vports>8</max_vports><vports>0</vports></capability></capability></device>"
    )


# libvirt's test driver makes new ones in the image of the second.
ADAPTERS = adapter(1) + adapter(11, parent="scsi_host1")
PORT = (
    "<device><parent>scsi_host1</parent><capability type='scsi_host'><capability type='fc_host'>"
    "<wwnn>2000000012341235</wwnn><wwpn>1000000012341235</wwpn></capability></capability></device>"
)


def test_a_device_that_comes_and_goes_is_seen_though_nobody_asks(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", ADAPTERS)
    rows = NodeDevice.objects.filter(hypervisor=host)
    wait_until(lambda: rows.count() == 2, seconds=60)
    made = fake_hosts.libvirt(host).nodeDeviceCreateXML(PORT, 0)
    row = NodeDevice.objects.filter(hypervisor=host, name=made.name())
    # Without the event it would be listed minutes later.
    wait_until(row.exists, seconds=60)
    made.destroy()
    wait_until(lambda: not row.exists(), seconds=60)


def test_a_card_that_comes_has_the_networks_counted_anew(fake_hosts: FakeHosts) -> None:
    network = "<network><name>blue</name><forward mode='nat'/><ip address='10.9.0.1' prefix='24'/></network>"
    host = fake_hosts.add("h1", network + ADAPTERS)
    rows = Network.objects.filter(hypervisor=host, name="blue")
    wait_until(lambda: rows.exists() and NodeDevice.objects.filter(hypervisor=host).count() == 2, seconds=60)
    was = rows.get().autostart
    # This comes without an event of its own; the next reading that is due by itself is a minute after the first.
    fake_hosts.libvirt(host).networkLookupByName("blue").setAutostart(not was)
    fake_hosts.libvirt(host).nodeDeviceCreateXML(PORT, 0)
    wait_until(lambda: rows.get().autostart != was, seconds=30)


def test_a_host_without_a_driver_of_secrets_is_followed_all_the_same(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", ADAPTERS)
    wait_until(lambda: NodeDevice.objects.filter(hypervisor=host).exists(), seconds=60)
    assert not HostSecret.objects.filter(hypervisor=host).exists()
