"""A host's own files: what stands in its /etc, what libvirtd reads, and the script that is its process 1."""

import shlex
from pathlib import Path

from deploy.lab.capabilities import install_capabilities
from deploy.lab.certificates import install_host_certificate, make_host_certificate
from deploy.lab.plan import HostPlan, LabPlan
from deploy.lab.process import PATH
from deploy.lab.sign_in import client_file, install_sasl, make_host_ssh
from deploy.lab.storage import write_pool

_LIBVIRTD_CONFIGURATION = """\
listen_tcp = 1
listen_tls = 1
listen_addr = "{address}"
auth_tcp = "{auth}"
auth_tls = "{auth}"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{host_uuid}"
"""
# stdio_handler: no virtlogd. cgroup_controllers: the hosts would share the machine's cgroups.
_QEMU_CONFIGURATION = """\
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = [ ]
namespaces = [ ]
migration_host = "{name}"
migration_address = "{address}"
vnc_listen = "{address}"
spice_listen = "{address}"
default_tls_x509_cert_dir = "/etc/pki/qemu"
"""
_NETWORK = """\
<network>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='off' delay='0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
</network>
"""
# Process 1 of a host. As a shell that waits it reaps the QEMUs that outlive their libvirtd.
_INIT = """\
#!/bin/sh
set -eu
export PATH={path} LC_ALL=C.UTF-8 HOME=/root
files={files}
cd /
hostname {name}

# Nothing of the machine's other labs: a mount seen here would outlive theirs.
umount --lazy --recursive /run/netns 2>/dev/null || true
while read -r _ mount _; do
    case $mount in
        {shared}) ;;
        /srv/vmportal-*) umount --lazy "$mount" || true ;;
    esac
done </proc/self/mounts

mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/lock /run/sshd /run/libvirt /run/etc
cp -a /etc/. /run/etc
cp -a "$files/etc/." /run/etc
sed -i 's/^root:[^:]*:/root:*:/' /run/etc/shadow
mount --bind /run/etc /etc
mount --bind "$files/etc/libvirt" /etc/libvirt
for directory in lib log cache; do
    mkdir -p "$files/$directory"
    mount --bind "$files/$directory" "/var/$directory/libvirt"
done

# Its own /dev, without kvm: the lab's guests are emulated everywhere, whatever this machine can do. (In place of kvm
# there must be nothing at all, else libvirt asks QEMU anew what it can do before each and every call.)
mkdir -p /run/dev/pts /run/dev/shm /run/dev/net
for node in null zero full random urandom tty fuse net/tun; do
    if [ -e "/dev/$node" ]; then cp -a "/dev/$node" "/run/dev/$node"; fi
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts /run/dev/pts
ln -s pts/ptmx /run/dev/ptmx
ln -s /proc/self/fd /run/dev/fd
ln -s fd/0 /run/dev/stdin
ln -s fd/1 /run/dev/stdout
ln -s fd/2 /run/dev/stderr
mount --rbind /run/dev /dev
chmod 1777 /dev/shm

/usr/sbin/sshd -f "$files/ssh/sshd_config" -E /run/sshd.log
libvirtd --daemon --listen
touch "$files/started"
while :; do
    sleep infinity &
    wait
done
"""


def make_host_files(plan: LabPlan, host: HostPlan) -> None:
    etc = etc_path(host)
    (etc / "libvirt").mkdir(parents=True)
    make_host_certificate(plan, host)
    make_host_ssh(plan, host)
    install_host_certificate(host, etc)
    install_sasl(plan, host, etc)
    install_capabilities(host)
    _write_names(plan, host, etc)
    _write_libvirt(plan, host, etc / "libvirt")
    init_path(host).write_text(_init_script(plan, host))


def etc_path(host: HostPlan) -> Path:
    return host.directory / "etc"


def init_path(host: HostPlan) -> Path:
    return host.directory / "init"


def started_path(host: HostPlan) -> Path:
    """There once the host's daemons have been started."""
    return host.directory / "started"


def _write_names(plan: LabPlan, host: HostPlan, etc: Path) -> None:
    """/etc/hosts names every host: without it each migration waits 40 s for a name server."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    lines += [f"{each.address} {each.name}" for each in plan.hosts]
    (etc / "hosts").write_text("\n".join(lines) + "\n")
    (etc / "hostname").write_text(f"{host.name}\n")
    (etc / "resolv.conf").write_text("")


def _write_libvirt(plan: LabPlan, host: HostPlan, directory: Path) -> None:
    values = {"name": host.name, "address": host.address, "host_uuid": host.host_uuid}
    auth = "sasl" if host.sasl else "none"
    (directory / "libvirtd.conf").write_text(_LIBVIRTD_CONFIGURATION.format(auth=auth, **values))
    (directory / "qemu.conf").write_text(_QEMU_CONFIGURATION.format(**values))
    (directory / "auth.conf").write_text(client_file(plan).read_text())
    _write_network(directory / "qemu" / "networks")
    write_pool(plan, directory)


def _write_network(directory: Path) -> None:
    (directory / "autostart").mkdir(parents=True)
    (directory / "default.xml").write_text(_NETWORK)
    (directory / "autostart" / "default.xml").symlink_to("/etc/libvirt/qemu/networks/default.xml")


def _init_script(plan: LabPlan, host: HostPlan) -> str:
    values = {"path": PATH, "files": host.directory, "name": host.name, "shared": plan.shared_path}
    return _INIT.format(**{name: shlex.quote(str(value)) for name, value in values.items()})
