"""Capabilities of hosts and their emulators read into values that a row keeps."""

import json

import pytest

from hypervisors.libvirtxml.domain_capabilities import DomainCapabilities, parse_domain_capabilities
from hypervisors.libvirtxml.host_capabilities import (
    HostCapabilities,
    host_capabilities_from_json,
    host_capabilities_to_json,
    parse_host_capabilities,
)

CAPABILITIES = """
<capabilities>
  <host>
    <cpu><arch>x86_64</arch><model>Skylake-Client</model><vendor>Intel</vendor></cpu>
    <topology><cells num='2'>
      <cell id='0'><memory unit='KiB'>1048576</memory><cpus num='4'/></cell>
      <cell id='1'><memory unit='KiB'>1048576</memory><cpus num='4'/></cell>
    </cells></topology>
  </host>
  <guest><os_type>xen</os_type><arch name='x86_64'/></guest>
  <guest><os_type>hvm</os_type>
    <arch name='x86_64'>
      <emulator>/usr/bin/qemu-system-x86_64</emulator>
      <machine maxCpus='255'>pc-i440fx-7.2</machine>
      <machine canonical='pc-i440fx-7.2' maxCpus='255'>pc</machine>
      <machine canonical='pc-q35-7.2' maxCpus='288'>q35</machine>
      <domain type='qemu'/>
      <domain type='kvm'><machine canonical='pc-q35-8.0'>q35</machine></domain>
    </arch>
  </guest>
</capabilities>
"""
DOMAIN = """
<domainCapabilities>
  <path>/usr/bin/qemu-system-x86_64</path><domain>kvm</domain><machine>pc-q35-7.2</machine><arch>x86_64</arch>
  <vcpu max='288'/>
  <os supported='yes'>
    <enum name='firmware'><value>efi</value></enum>
    <loader supported='yes'><value>/x.fd</value><enum name='secure'><value>yes</value><value>no</value></enum></loader>
  </os>
  <cpu>
    <mode name='host-passthrough' supported='no'/>
    <mode name='host-model' supported='yes'>
      <model fallback='forbid'>EPYC</model>
      <feature policy='require' name='aes'/><feature policy='disable' name='vme'/>
    </mode>
    <mode name='custom' supported='yes'>
      <model usable='yes'>Westmere</model><model usable='no'>Haswell</model>
    </mode>
  </cpu>
  <devices>
    <disk supported='yes'><enum name='bus'><value>virtio</value><value>sata</value></enum></disk>
    <graphics supported='no'><enum name='type'><value>vnc</value></enum></graphics>
    <tpm supported='yes'><enum name='model'><value>tpm-crb</value></enum></tpm>
  </devices>
  <features><hyperv supported='yes'><enum name='features'><value>spinlocks</value></enum></hyperv></features>
</domainCapabilities>
"""


def test_an_emulator_is_described() -> None:
    parsed = parse_domain_capabilities(DOMAIN)
    assert parsed == DomainCapabilities(
        emulator="/usr/bin/qemu-system-x86_64",
        virt_type="kvm",
        arch="x86_64",
        machine="pc-q35-7.2",
        vcpus_maximum=288,
        firmwares=("efi",),
        has_secure_boot=True,
        cpu_modes=("host-model", "custom"),
        host_model="EPYC",
        host_model_features=("+aes", "-vme"),
        cpu_models=("Westmere",),
        disk_buses=("virtio", "sata"),
        graphics=(),
        tpm_models=("tpm-crb",),
        hyperv_features=("spinlocks",),
    )


def test_a_host_is_described_with_its_guests() -> None:
    parsed = parse_host_capabilities(CAPABILITIES, [parse_domain_capabilities(DOMAIN)])
    assert (parsed.arch, parsed.cpu_count, parsed.memory_kib) == ("x86_64", 8, 2 * 1024**2)
    (guest,) = parsed.guests
    assert guest.virt_types == ("kvm", "qemu")
    assert guest.machines == ("pc-i440fx-7.2", "pc-q35-7.2", "pc-q35-8.0")
    assert dict(guest.aliases)["pc"] == "pc-i440fx-7.2"
    assert parsed.guest("aarch64") is None


def test_what_was_read_for_one_machine_stands_for_its_family() -> None:
    host = HostCapabilities(domains=(parse_domain_capabilities(DOMAIN),))
    assert host.domain(arch="x86_64", virt_type="kvm", machine="pc-q35-7.0") is host.domains[0]
    assert host.domain(arch="x86_64", virt_type="kvm", machine="pc-i440fx-7.2") is None
    assert host.domain(arch="x86_64", virt_type="qemu", machine="pc-q35-7.2") is None


def test_a_row_keeps_all_of_it() -> None:
    parsed = parse_host_capabilities(CAPABILITIES, [parse_domain_capabilities(DOMAIN)])
    assert host_capabilities_from_json(json.loads(json.dumps(host_capabilities_to_json(parsed)))) == parsed
    with pytest.raises(ValueError, match="newfangled"):
        host_capabilities_from_json({"newfangled": 1})


def test_odd_documents_are_read_as_far_as_they_go() -> None:
    assert parse_host_capabilities("<capabilities/>") == HostCapabilities()
    assert parse_domain_capabilities("<domainCapabilities/>") == DomainCapabilities()
    with pytest.raises(ValueError, match="cannot be read"):
        parse_host_capabilities("<capabilities>")
