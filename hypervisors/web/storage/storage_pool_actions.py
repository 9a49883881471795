"""What can be done to a storage pool, as buttons and menus: whether it is possible, and if not why."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.models import StoragePool
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.storage.delete_storage_pool import why_contents_stay
from hypervisors.operations.storage.storage_pool_users import storage_pool_users, users_text
from hypervisors.web.definitions.actions import Action, Actions, action_routes, deletion_route
from hypervisors.web.storage.definitions import STORAGE_POOL


def actions_of(storage_pool: StoragePool) -> list[Action]:
    """In the order of the menu."""
    actions = Actions(STORAGE_POOL, storage_pool)
    if storage_pool.active:
        actions.add("stop_storage_pool", "stop", word=_("Stop"), warning=_stop_warning(storage_pool))
    else:
        actions.add("start_storage_pool", "start", word=_("Start"))
        if storage_pool.pool_type == "dir":
            making = {"icon": "folder-plus", "values": {"makes_folder": "1"}}
            actions.add("start_storage_pool", "start", word=_("Create the folder and start"), **making)
    actions.add_autostart()
    if storage_pool.shared_storage_id is not None:
        actions.add("prove_sharing", "prove", word=_("Look who sees it"))
    actions.add_edit_and_delete()
    return actions.made


def _stop_warning(storage_pool: StoragePool) -> str:
    text = str(operation_type("stop_storage_pool").warning)
    users = [user for user in storage_pool_users(storage_pool) if user.is_active]
    if users:
        return _("Running machines have disks in it and go on with them: %(users)s. %(text)s") % {
            "users": users_text(users),
            "text": text,
        }
    if not storage_pool.persistent:
        return _("It was started without being defined: this host forgets it. %(text)s") % {"text": text}
    return text


def _deletion_context(storage_pool: StoragePool) -> dict[str, Any]:
    """What becomes of what is in it."""
    return {
        "why_contents_stay": why_contents_stay(storage_pool),
        "volume_count": storage_pool.volumes.present().count(),
    }


def _deletion_given(request: HttpRequest, storage_pool: StoragePool) -> dict[str, Any]:
    """Raises: errors.NotPossible."""
    deletes_volumes = bool(request.POST.get("deletes_volumes"))
    if deletes_volumes and request.POST.get("typed_name", "").strip() != storage_pool.name:
        raise NotPossible(_("Type the storage pool's name to have all that is in it deleted."))
    return {"deletes_volumes": deletes_volumes}


_ROUTES = {
    "start": ("start_storage_pool", gettext_lazy("“%(name)s” is being started on %(host)s.")),
    "stop": ("stop_storage_pool", gettext_lazy("“%(name)s” is being stopped on %(host)s.")),
    "autostart": ("set_storage_pool_autostart", gettext_lazy("“%(name)s” is being changed on %(host)s.")),
    "refresh": ("refresh_storage_pool", gettext_lazy("“%(name)s” is being read again.")),
    "prove": ("prove_sharing", gettext_lazy("The hosts look whether they see the same storage as “%(name)s”.")),
}

urlpatterns = [*action_routes(STORAGE_POOL, _ROUTES), deletion_route(STORAGE_POOL, _deletion_context, _deletion_given)]
