"""Whether an address is this machine's own, asked of the kernel's routes, https://man7.org/linux/man-pages/man7/rtnetlink.7.html.

The routes know every address of every interface of this machine, secondary ones and whole networks that are
delivered here included; a list of interfaces would not.
"""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

_NEW_ROUTE, _GET_ROUTE, _REQUEST, _DESTINATION = 24, 26, 1, 1
# Local, broadcast, anycast, multicast.
_DELIVERED_HERE = {2, 3, 4, 5}
_HEADER = struct.Struct("=IHHII")
# Family, lengths of destination and source, tos, table, protocol, scope, type, flags.
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")


def is_delivered_here(address: IPv4Address | IPv6Address) -> bool:
    """Whether what is sent there reaches this machine; of broadcast and the like, this machine too."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    route = _ROUTE.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address.packed), _DESTINATION) + address.packed
    body = route + attribute
    request = _HEADER.pack(_HEADER.size + len(body), _GET_ROUTE, _REQUEST, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(2)
        kernel.send(request)
        answer = kernel.recv(65536)
    _length, kind, *_rest = _HEADER.unpack_from(answer)
    return bool(kind == _NEW_ROUTE and _ROUTE.unpack_from(answer, _HEADER.size)[7] in _DELIVERED_HERE)
