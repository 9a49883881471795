"""The transfer process: carries a volume's bytes between browser and hypervisor; see docs/architecture.md."""
