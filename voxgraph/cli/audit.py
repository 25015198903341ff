"""Commands about the ledger of the galleries."""

from typing import Annotated

import typer

from voxgraph.cli.arguments import Where, grouped

app = typer.Typer(
    name="audit",
    help="Read and verify what was done with the voices of galleries.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command()
@grouped
def ledger(
    where: Where, after: Annotated[int, typer.Option(min=0, help="Show the lines behind this one.")] = 0
) -> None:
    """Print the ledger as NDJSON: who did what to which opaque id, and when.

    Example: voxgraph audit ledger > ledger.ndjson
    """
    from voxgraph.cli.galleries import print_ledger

    print_ledger(after, where)


@app.command()
@grouped
def verify(
    where: Where,
    public_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The key that you have noted; by default the server's.")
    ] = None,
) -> None:
    """Verify the chain, all signatures and all receipts, here. Exit status 1 if something was changed.

    Example: voxgraph audit verify
    """
    from voxgraph.cli.galleries import verify_ledger

    verify_ledger(public_key, where)


@app.command()
@grouped
def receipts(
    where: Where,
    after: Annotated[int, typer.Option(min=0, help="Show those behind this line of the ledger.")] = 0,
) -> None:
    """Print the receipts of erasures as NDJSON.

    Example: voxgraph audit receipts > receipts.ndjson
    """
    from voxgraph.cli.galleries import print_receipts

    print_receipts(after, where)
