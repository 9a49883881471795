"""Names and notes, https://libvirt.org/formatdomain.html#general-metadata. The name itself is changed by renaming."""

from hypervisors.libvirtxml.hardware.fields import Field
from hypervisors.libvirtxml.hardware.parts.section import Section

GENERAL = Section(
    key="general",
    fields=(
        Field("title", "title", pattern=r".{1,250}"),
        Field("description", "description", "lines"),
    ),
)
