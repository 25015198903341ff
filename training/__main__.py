"""``python -m training``: make the demo checkpoints again, from espeak-ng and flite, on two cores."""

import argparse
import shutil
import sys
from pathlib import Path

from training.recipes import NETWORKS, RECIPES
from training.schedule import CACHE, bar, corpus, display, train

SYNTHESIZERS = ("espeak-ng", "flite")


def main() -> int:
    """Synthesize, train, assemble; 1 where a synthesizer is missing."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("checkpoints/demo"), help="where checkpoints go")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), help="some recipes")
    options = parser.parse_args()
    missing = [name for name in SYNTHESIZERS if shutil.which(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)} (Debian's packages of these names)", file=sys.stderr)
        return 1
    with display() as progress:
        for name in sorted({RECIPES[recipe].corpus for recipe in options.only}):
            corpus(name, bar(progress, name))
        train(options.only, options.to, progress)
    if set(options.only) & set(NETWORKS):
        from training import diarization

        recipe = RECIPES["embedding"]
        clips = corpus(recipe.corpus, lambda *_: None)
        segmentation, embedding = (CACHE / f"{name}.pt" for name in NETWORKS)
        diarization.assemble(clips, segmentation, embedding, options.to, recipe.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
