"""All commands, and what happens when one fails."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import voxgraph
from voxgraph.cli import audit, checkpoints, gallery, keys, recordings, server, service
from voxgraph.cli.exits import Exit, status_of
from voxgraph.errors import VoxError

# Help in plain text: laying it out with rich takes three times as long as all the rest.
app = typer.Typer(
    name="voxgraph",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for command in (
    recordings.analyze,
    recordings.language,
    recordings.accent,
    recordings.deepfake,
    recordings.diarize,
    recordings.embed,
    recordings.compare,
    server.status,
    server.doctor,
    server.openapi,
    service.serve,
):
    app.command()(command)
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": ["-h"]}
app.command("eval", context_settings=PASSED_ON)(service.evaluate)
app.command(context_settings=PASSED_ON)(service.bench)
app.add_typer(checkpoints.app)
app.add_typer(keys.app)
app.add_typer(gallery.app)
app.add_typer(audit.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"voxgraph {voxgraph.__version__}")
        raise typer.Exit


@app.callback()
def voxgraph_command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Answers questions about voice recordings: asks a voxgraph server, or answers with --local.

    An API key is read from VOXGRAPH_API_KEY, or from the file that VOXGRAPH_API_KEY_FILE names.

    Exit status: 0 everything was answered; 1 something was not; 2 wrong arguments; 3 the server cannot be
    reached; 4 it refuses the API key; 5 a package is not installed; 6 a checkpoint is missing; 130 Ctrl-C.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with arguments, by default those of the process; return its exit status."""
    try:
        app(arguments, prog_name="voxgraph")
    except SystemExit as finished:
        if isinstance(finished.code, str):
            print(finished.code, file=sys.stderr)
            return Exit.SOME_FAILED
        return int(finished.code or 0)
    except VoxError as error:
        request = f" (request {error.request_id})" if error.request_id else ""
        print(f"voxgraph: {error.detail}{request}", file=sys.stderr)
        return status_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the answers has enough. Python would complain when it flushes standard output.
        sys.stdout = None
        return Exit.SOME_FAILED
    return Exit.OK
