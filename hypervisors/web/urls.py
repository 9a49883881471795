"""The pages: one module of URL patterns per noun."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
