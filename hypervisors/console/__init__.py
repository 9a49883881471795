"""The console proxy: carries a screen's bytes between browser and hypervisor; see docs/architecture.md."""
