"""The one app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HypervisorsConfig(AppConfig):
    """Hypervisor pools, their hypervisors, and the virtual machines on them."""

    name = "hypervisors"
    verbose_name = _("Hypervisors")

    def ready(self) -> None:
        # Its receivers close consoles when somebody logs out or loses a right.
        from hypervisors.models.consoles import kicks  # noqa: F401
