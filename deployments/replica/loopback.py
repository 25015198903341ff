"""Keep a replica's server for handle calls off the network, on a machine that has the cluster to itself."""

import os
import sys
from functools import cache

from voxgraph.cluster import SEVERAL_MACHINES


@cache
def listen_on_loopback() -> None:
    """Make Serve bind this replica's gRPC server to the loopback if Ray itself is there, else do nothing.

    Serve binds it to all interfaces and has no setting for it. It does so after the constructor.
    """
    # Serve's module runs this process if it is a replica; elsewhere there is no server to bind.
    serve_replica = sys.modules.get("ray.serve._private.replica")
    if serve_replica is None or os.environ.get(SEVERAL_MACHINES) != "0":
        return
    bind = serve_replica.add_port_to_grpc_server

    def bind_to_loopback(server: object, address: str) -> int:
        port: int = bind(server, address.replace("[::]:", "127.0.0.1:"))
        return port

    serve_replica.add_port_to_grpc_server = bind_to_loopback  # type: ignore[attr-defined]
