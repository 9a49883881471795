"""XML of capabilities, storage pools and networks read into values."""

from uuid import UUID

from hypervisors.libvirtxml.capabilities import parse_capabilities, parse_processor_name
from hypervisors.libvirtxml.networks import ParsedNetwork, parse_network
from hypervisors.libvirtxml.storage_pools import parse_storage_pool

CAPABILITIES = """
<capabilities>
  <host>
    <uuid>00000000-0000-4000-9000-000000000001</uuid>
    <cpu><arch>x86_64</arch><model>Skylake-Client</model><vendor>Intel</vendor>
      <topology sockets='2' dies='1' cores='8' threads='2'/></cpu>
  </host>
  <guest><os_type>hvm</os_type><arch name='i686'><machine>ancient</machine><domain type='qemu'/></arch></guest>
  <guest><os_type>hvm</os_type>
    <arch name='x86_64'>
      <machine maxCpus='255'>pc-i440fx-7.2</machine>
      <machine canonical='pc-i440fx-7.2' maxCpus='255'>pc</machine>
      <machine canonical='pc-q35-7.2' maxCpus='288'>q35</machine>
      <domain type='qemu'/>{kvm}
    </arch>
  </guest>
</capabilities>
"""


def test_a_host_is_described() -> None:
    parsed = parse_capabilities(CAPABILITIES.format(kvm="<domain type='kvm'/>"))
    assert parsed.host_uuid == UUID("00000000-0000-4000-9000-000000000001")
    assert (parsed.architecture, parsed.cpu_vendor, parsed.cpu_model) == ("x86_64", "Intel", "Skylake-Client")
    assert (parsed.cpu_sockets, parsed.cpu_cores_per_socket, parsed.cpu_threads_per_core) == (2, 8, 2)
    assert parsed.machine_types == ("pc", "pc-i440fx-7.2", "pc-q35-7.2", "q35")
    assert parsed.kvm_available is True
    assert parsed.cpu_xml.startswith("<cpu>")
    assert parsed.cpu_xml.endswith("</cpu>")


def test_plain_emulation_is_told_from_kvm_and_from_not_knowing() -> None:
    assert parse_capabilities(CAPABILITIES.format(kvm="")).kvm_available is False
    assert parse_capabilities("<capabilities><host/></capabilities>").kvm_available is None


def test_the_processors_name_is_found_or_empty() -> None:
    xml = "<sysinfo><processor><entry name='version'>Intel(R)  Xeon(R) Gold </entry></processor></sysinfo>"
    assert parse_processor_name(xml) == "Intel(R) Xeon(R) Gold"
    assert parse_processor_name("<sysinfo/>") == ""
    assert parse_processor_name("not XML") == ""


def test_networks_tell_mode_bridge_and_addresses() -> None:
    xml = """<network><forward mode='nat'/><bridge name='virbr0'/>
      <ip address='192.168.122.1' netmask='255.255.255.0'/>
      <ip family='ipv6' address='fd00::1' prefix='64'/></network>"""
    assert parse_network(xml) == ParsedNetwork(
        forward_mode="nat", kind="nat", bridge="virbr0", addresses=("192.168.122.1/24", "fd00::1/64")
    )
    assert parse_network("<network/>") == ParsedNetwork(forward_mode="isolated")
    assert parse_network("<network><forward/></network>").forward_mode == "nat"


def test_storage_pools_tell_type_and_path() -> None:
    parsed = parse_storage_pool("<pool type='dir'><target><path>/srv/a b</path></target></pool>")
    assert (parsed.pool_type, parsed.target_path) == ("dir", "/srv/a b")
    assert parse_storage_pool("<pool type='rbd'/>").target_path == ""
