"""What is known of volumes that hold appliances (OVA, OVF, VMDK), as they were when somebody last looked into them."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.volumes import Volume


class Appliance(models.Model):
    """One look into one volume. Either `content` (imaging.appliance_json) or `problem` says what came of it."""

    volume = models.OneToOneField(Volume, on_delete=models.CASCADE, related_name="appliance")
    content = models.JSONField(default=dict)
    # Why it cannot be imported, for people.
    problem = models.TextField(blank=True)
    read_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("appliance")

    def __str__(self) -> str:
        return str(self.volume)
