"""What each line of the disks is made of, by the method and by what is chosen in it."""

from hypervisors.operations.domains.creation.parameters import DiskAction, Method
from hypervisors.web.domains.creation.choices import Choices, ImageChoice
from hypervisors.web.domains.creation.drafts import DiskDraft, Draft

# Those whose first disk is made of an image.
FROM_IMAGE = frozenset({Method.CLOUD_IMAGE, Method.IMPORT})


def image_of(draft: Draft, row: DiskDraft, choices: Choices) -> ImageChoice | None:
    """What the line is made of: the first, of methods that begin with an image, of that image."""
    if row.key == "1" and draft.method == Method.CLOUD_IMAGE:
        return choices.image(draft.image)
    if row.key == "1" and draft.method == Method.IMPORT:
        return choices.image(draft.imported)
    return choices.image(row.volume) if row.source != DiskAction.NEW else None


def action_of(draft: Draft, row: DiskDraft) -> str:
    if row.key == "1" and draft.method == Method.CLOUD_IMAGE:
        return DiskAction.COPY if draft.image_way == "copy" else DiskAction.OVERLAY
    if row.key == "1" and draft.method == Method.IMPORT:
        return DiskAction.COPY if draft.imported_way == "copy" else DiskAction.EXISTING
    known = row.source in (DiskAction.NEW, DiskAction.EXISTING, DiskAction.COPY, DiskAction.OVERLAY)
    return row.source if known else DiskAction.NEW
