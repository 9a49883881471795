"""Fetching files from URLs that people type, without being turned against our own network."""

from hypervisors.fetching.addresses import AddressRefused
from hypervisors.fetching.fetches import FetchBroken, Fetched, FetchRefused, checked_fetch, file_name_of

__all__ = ["AddressRefused", "FetchBroken", "FetchRefused", "Fetched", "checked_fetch", "file_name_of"]
