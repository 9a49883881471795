"""The console gateway: carries a screen's bytes between browser and hypervisor; see docs/architecture.md."""
