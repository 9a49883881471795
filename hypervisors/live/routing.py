"""Websocket paths: one module of consumers per noun."""

from typing import Any

from django.urls import path

from hypervisors.live.consumers import LiveConsumer

websocket_urlpatterns: list[Any] = [
    path("ws/live/", LiveConsumer.as_asgi()),  # type: ignore[arg-type]  # Channels routes ASGI applications with path()
]
