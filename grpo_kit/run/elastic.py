"""torchrun for the processes of one machine, with its store on the loopback address only.

The store takes pickles from whoever connects, without asking who that is, and listens on every address of the machine
(PyTorch's TCPStore). For one machine it is made over a socket that was bound to 127.0.0.1 before.
"""

from __future__ import annotations

import socket
from typing import Any

from torch.distributed import TCPStore
from torch.distributed.elastic.rendezvous import c10d_rendezvous_backend
from torch.distributed.run import main

LOOPBACK = "127.0.0.1"


def local_store(host_name: str, port: int, *, is_master: bool = False, **options: Any) -> TCPStore:
    """A TCPStore that, where it serves, can be reached from this machine alone."""
    if is_master:
        listening = socket.create_server((LOOPBACK, port))
        port = listening.getsockname()[1]
        # The store takes the descriptor over and closes it.
        options |= {"master_listen_fd": listening.detach(), "use_libuv": True}
    return TCPStore(LOOPBACK, port, is_master=is_master, **options)


if __name__ == "__main__":
    c10d_rendezvous_backend.TCPStore = local_store  # type: ignore[misc,assignment]
    main()
