"""TCP ports of 127.0.0.1 that stay a server's while it does not run."""

from __future__ import annotations

import socket
import sys
import weakref


def held_port(owner: object) -> int:
    """A free port that the system gives to nobody else until `owner` is collected.

    Programs that set SO_REUSEADDR, as servers do, can listen on it. While none does, it refuses connections.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    port: int = holder.getsockname()[1]
    if sys.platform == "linux":
        weakref.finalize(owner, holder.close)
    else:
        # Elsewhere nobody could listen beside the holder.
        holder.close()
    return port
