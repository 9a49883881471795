"""The one app."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class HypervisorsConfig(AppConfig):
    """Hypervisor pools, their hypervisors, and the virtual machines on them."""

    name = "hypervisors"
    verbose_name = _("Hypervisors")

    def ready(self) -> None:
        # Their receivers keep account flags in step with roles, and end sessions and consoles when a right is lost.
        from hypervisors.access import account_flags, audited_groups, ended_sessions  # noqa: F401
        from hypervisors.models.consoles import kicks  # noqa: F401
        from hypervisors.models.stock_roles import synchronise_stock_roles
        from hypervisors.osinfo import STANDARD_DIRECTORIES, use_directories

        use_directories((*STANDARD_DIRECTORIES, settings.OSINFO_DIRECTORY))
        post_migrate.connect(synchronise_stock_roles, sender=self)
