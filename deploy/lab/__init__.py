"""A lab of real hypervisors on one machine: each host has namespaces, a libvirtd, an sshd and a network of its own."""
