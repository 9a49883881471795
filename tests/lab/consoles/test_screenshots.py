"""A real guest's screen, taken by a real worker."""

import io

import pytest
from PIL import Image

from hypervisors.models import Domain
from hypervisors.operations.domains.screen_pictures import KeptPicture, find_picture, find_problem, request_picture
from tests.lab.portals import Portal
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("operations",)


def test_a_running_guest_is_seen_and_one_without_a_screen_is_left_alone(portal: Portal) -> None:
    with portal.guest("seen1") as guest:
        row = Domain.objects.select_related("hypervisor").get(name="seen1")
        assert request_picture(row)
        taken: KeptPicture = wait_until(lambda: find_picture(row.uuid), seconds=60)
        picture = Image.open(io.BytesIO(taken.png))
        assert (picture.format, taken.screen_width, taken.screen_height) == ("PNG", 720, 400)
        # Its shell has written something on it.
        assert len(set(picture.convert("L").tobytes())) > 1
        host = portal.hosts[0]
        host.virsh("destroy", guest.uuid)
        xml = host.virsh("dumpxml", "--inactive", guest.uuid)
        begin, end = xml.index("<graphics"), xml.index("</video>") + len("</video>")
        blind = host.lab.directory / "blind.xml"
        blind.write_text(xml[:begin] + xml[end:])
        host.virsh("define", str(blind))
        host.virsh("start", guest.uuid)

        def is_refused() -> bool:
            """The row may say for a moment longer that it is off."""
            request_picture(Domain.objects.select_related("hypervisor").get(pk=row.pk))
            return find_problem(row.uuid) == "no_screen"

        wait_until(is_refused, seconds=60)
