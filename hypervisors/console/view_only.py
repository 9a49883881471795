"""View-only, held on the server: of what a browser sends to a VNC server, pass on only what shows the screen.

Message types and lengths: https://github.com/rfbproto/rfbproto/blob/master/rfbproto.rst#client-to-server-messages.
"""

import struct
from collections.abc import Callable

from hypervisors.console.closing import PROTOCOL_ERROR, ConsoleClosed

_SHARED = b"\1"

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
        self._buffer = b""
        self._initialised = False
        self._to_drop = 0

    def feed(self, data: bytes) -> bytes:
        """What may go on to the server. Raises: ConsoleClosed at a message whose length cannot be known."""
        self._buffer += data
        passed = b""
        if self._buffer and not self._initialised:
            # An exclusive viewer would throw the others out.
            self._initialised, self._buffer, passed = True, self._buffer[1:], _SHARED
        while (message := self._next_message()) is not None:
            passed += message
        return passed

    def _next_message(self) -> bytes | None:
        """The next message to pass on, b"" for one that is dropped, None when more bytes are needed."""
        if self._to_drop:
            dropped = min(self._to_drop, len(self._buffer))
            self._to_drop -= dropped
            self._buffer = self._buffer[dropped:]
        if not self._buffer:
            return None
        rule = _RULES.get(self._buffer[0])
        if rule is None:
            raise ConsoleClosed(PROTOCOL_ERROR, f"VNC message {self._buffer[0]} is not known to be harmless.")
        head_length, length_of, is_passed = rule
        if len(self._buffer) < head_length:
            return None
        length = length_of(self._buffer)
        if not is_passed:
            self._to_drop = length
            return b""
        if len(self._buffer) < length:
            return None
        message, self._buffer = self._buffer[:length], self._buffer[length:]
        return message
