"""Devices in plain words, as filters."""

from django import template

from hypervisors.web.domains import device_words

register = template.Library()
register.filter("device_word", device_words.device_word)
register.filter("bus_word", device_words.bus_word)
register.filter("connection_word", device_words.connection_word)
