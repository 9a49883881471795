"""Sizes as libvirt says them, made fit for a row: some drivers report an underflow as nearly 2^64 bytes."""

# What a row can hold; no storage is that large, so a greater number is a negative one written without its sign.
MAX_BYTES = 2**63 - 1


def plausible(count_bytes: int) -> int:
    """The size; 0 for what cannot be one."""
    return count_bytes if is_plausible(count_bytes) else 0


def is_plausible(count_bytes: int) -> bool:
    return 0 <= count_bytes <= MAX_BYTES
