"""View-only, held on the server: of what a browser sends to a VNC server, pass on only what shows the screen.

Message types and lengths: https://github.com/rfbproto/rfbproto/blob/master/rfbproto.rst#client-to-server-messages.
"""

import struct
from collections.abc import Callable

from hypervisors.console.closing import PROTOCOL_ERROR, TOO_BIG, ConsoleClosed

_SHARED = b"\1"
# A message that is passed on is held until it is whole; noVNC's longest, SetEncodings, takes some 100 bytes.
_MAX_MESSAGE_BYTES = 4 + 4 * 1024

# type: (bytes before the length is known, length of the whole from those, passed on).
_Rule = tuple[int, Callable[[bytes], int], bool]


def _fixed(length: int) -> Callable[[bytes], int]:
    return lambda _: length


def _cut_text_length(head: bytes) -> int:
    # Negative for the extended clipboard.
    return 8 + abs(int(struct.unpack(">i", head[4:8])[0]))


def _qemu_length(head: bytes) -> int:
    """QEMU's own: 0 is an extended key event, 1 is audio, of which operation 2 sets the format."""
    if head[1] == 0:
        return 12
    return 10 if head[2:4] == b"\0\2" else 4


_RULES: dict[int, _Rule] = {
    0: (1, _fixed(20), True),  # SetPixelFormat
    2: (4, lambda head: 4 + 4 * int(struct.unpack(">H", head[2:4])[0]), True),  # SetEncodings
    3: (1, _fixed(10), True),  # FramebufferUpdateRequest
    4: (1, _fixed(8), False),  # KeyEvent
    5: (1, _fixed(6), False),  # PointerEvent
    6: (8, _cut_text_length, False),  # ClientCutText
    150: (1, _fixed(10), True),  # EnableContinuousUpdates
    248: (9, lambda head: 9 + head[8], True),  # ClientFence
    250: (1, _fixed(4), False),  # xvp: shut down, reboot, reset
    251: (8, lambda head: 8 + 16 * head[6], False),  # SetDesktopSize
    255: (4, _qemu_length, False),
}


class ViewOnlyFilter:
    """One connection's filter, fed with bytes in any cut from ClientInit on."""

    def __init__(self) -> None:
        # The beginning of a message; never as long as _MAX_MESSAGE_BYTES.
        self._rest = b""
        self._initialised = False
        self._to_drop = 0

    def feed(self, data: bytes) -> bytes:
        """What may go on to the server. Raises: ConsoleClosed at a message of unknown or excessive length."""
        if self._rest:
            data = self._rest + data
        passed: list[bytes] = []
        position = 0
        if data and not self._initialised:
            # An exclusive viewer would throw the others out.
            self._initialised, position = True, 1
            passed.append(_SHARED)
        while position < len(data):
            if self._to_drop:
                dropped = min(self._to_drop, len(data) - position)
                self._to_drop -= dropped
                position += dropped
                continue
            length, is_passed = _measured(data, position)
            if not is_passed and length:
                self._to_drop = length
            elif not length or len(data) - position < length:
                break
            else:
                passed.append(data[position : position + length])
                position += length
        self._rest = data[position:]
        return b"".join(passed)


def _measured(data: bytes, position: int) -> tuple[int, bool]:
    """How long the message is that begins there, 0 while that is not known, and whether it is passed on."""
    rule = _RULES.get(data[position])
    if rule is None:
        raise ConsoleClosed(PROTOCOL_ERROR, f"VNC message {data[position]} is not known to be harmless.")
    head_length, length_of, is_passed = rule
    if len(data) - position < head_length:
        return 0, is_passed
    length = length_of(data[position : position + head_length])
    if is_passed and length > _MAX_MESSAGE_BYTES:
        raise ConsoleClosed(TOO_BIG, f"A VNC message of {length} bytes is longer than any that a viewer sends.")
    return length, is_passed
