"""``python -m training``: retrain the demo checkpoints on espeak-ng and flite speech, on two cores."""

import argparse
import shutil
import sys
from pathlib import Path

from training.recipes import NETWORKS, RECIPES
from training.schedule import CACHE, load_corpus, progress_bar, progress_display, train_all

SYNTHESIZERS = ("espeak-ng", "flite")


def main() -> int:
    """Synthesize, train and assemble; return 1 if a synthesizer is missing, else 0."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("checkpoints/demo"), help="output folder")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), help="recipes to train")
    options = parser.parse_args()
    missing = [name for name in SYNTHESIZERS if shutil.which(name) is None]
    if missing:
        print(f"Not installed: {', '.join(missing)}. Debian has packages of these names.", file=sys.stderr)
        return 1
    with progress_display() as progress:
        for name in sorted({RECIPES[recipe].corpus for recipe in options.only}):
            load_corpus(name, progress_bar(progress, name))
        train_all(options.only, options.to, progress)
    if set(options.only) & set(NETWORKS):
        from training import diarization

        recipe = RECIPES["embedding"]
        clips = load_corpus(recipe.corpus, lambda *_: None)
        segmentation, embedding = (CACHE / f"{name}.pt" for name in NETWORKS)
        diarization.assemble(clips, segmentation, embedding, options.to, recipe.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
