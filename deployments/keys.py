"""``python -m deployments.keys``: make, list and revoke API keys in a file that the server reads."""

import argparse
import sys
from pathlib import Path

from voxgraph.keys import SCOPES, KeysError, add_key, read_keys, revoke_key


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; return 1 if it cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "new":
            print(
                add_key(
                    options.file, options.name, options.scope or ["ask"],
                    options.requests_per_minute, options.max_concurrent,
                )
            )  # fmt: skip
            print("This is the only time that the key is shown.", file=sys.stderr)
        elif options.command == "list":
            for key in read_keys(options.file):
                print(f"{key.name}\t{','.join(key.scopes)}\t{key.created}")
        else:
            revoke_key(options.file, options.name)
    except (KeysError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployments.keys", description=__doc__)
    parser.add_argument("--file", type=Path, required=True, help="the file, `keys_file` of the server")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="make a key and show it once")
    new.add_argument("name", help="stands for the key in logs and metrics")
    new.add_argument("--scope", action="append", choices=SCOPES, help="ask by default; may be repeated")
    new.add_argument("--requests-per-minute", type=int)
    new.add_argument("--max-concurrent", type=int, help="recordings in progress at a time")
    commands.add_parser("list", help="show the names, scopes and times of the keys")
    commands.add_parser("revoke", help="remove a key").add_argument("name")
    return parser


if __name__ == "__main__":
    sys.exit(main())
