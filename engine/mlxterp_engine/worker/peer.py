"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import os
import socket
import struct
import sys

# <sys/un.h> and <sys/ucred.h> of macOS and the BSDs; Python names neither.
_SOL_LOCAL = 0
_LOCAL_PEERCRED = 1
_XUCRED = struct.Struct("IIh16I")  # version, uid, number of groups, groups
_UCRED = struct.Struct("=iII")  # pid, uid, gid


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process that connected."""
    if sys.platform == "darwin":
        raw = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
        return struct.unpack_from("II", raw)[1]
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return _UCRED.unpack(raw)[1]


def is_ours(connection: socket.socket) -> bool:
    """Whether the other end runs as the same user as we do."""
    return peer_uid(connection) == os.getuid()
