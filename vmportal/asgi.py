"""ASGI entry: HTTP to Django, websockets to the Channels consumers behind origin and session checks."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vmportal.settings")
django.setup(set_prefix=False)

from channels.auth import AuthMiddlewareStack  # noqa: E402 - Django must be set up before its models are imported
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import OriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from hypervisors.live.refusing import DatabaseGuard  # noqa: E402
from hypervisors.live.routing import websocket_urlpatterns  # noqa: E402
from hypervisors.osinfo import warm_up  # noqa: E402
from vmportal.request_threads import ThreadedHandler  # noqa: E402

warm_up()

application = ProtocolTypeRouter(
    {
        "http": ThreadedHandler(),
        "websocket": OriginValidator(
            DatabaseGuard(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))), settings.PUBLIC_ORIGINS
        ),
    }
)
