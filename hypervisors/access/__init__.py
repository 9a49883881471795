"""Who may do what to what, and the audit. Everything that changes something asks here first."""

from hypervisors.access.checks import can, can_somewhere, permitted, require, require_somewhere

__all__ = ["can", "can_somewhere", "permitted", "require", "require_somewhere"]
