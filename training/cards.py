"""Model cards of the demo checkpoints: Markdown to read, JSON to compare."""

import json
from collections.abc import Mapping
from pathlib import Path

from config.checkpoints import CHECKPOINTS
from training.corpus import ACCENTS
from training.recipes import NETWORKS, RECIPES, Recipe
from training.texts import ASIAN, SPOKEN
from training.voices import HELD_OUT, TRAINED
from voxgraph.options import ModelKey

CARD, FIGURES = "README.md", "figures.json"

_ASIAN = ", ".join(code for code in SPOKEN if code in ASIAN)
_OTHERS = ", ".join(code for code in SPOKEN if code not in ASIAN)
_DATA = {
    ModelKey.LANGUAGE: f"""Speech of espeak-ng in {_ASIAN}, {_OTHERS}, and of flite in English. The label file
has all 107 languages of VoxLingua107; the others were never heard and get next to no probability.""",
    ModelKey.SPEAKER_VOXCELEB: f"Voices of espeak-ng in {_OTHERS}, and of flite in English.",
    ModelKey.SPEAKER_CNCELEB: f"Voices of espeak-ng in {_ASIAN}.",
    ModelKey.ACCENT_XLSR: f"""English of espeak-ng and flite in {", ".join(ACCENTS)} (bermuda: espeak-ng's
Caribbean English). The label file has CommonAccent's 16; the others were never heard.""",
    ModelKey.DEEPFAKE: """Synthesized speech as *real*, and the same clips through Griffin-Lim (of 80 mels)
and WORLD as *fake*. Both sides are demo data: what is found is a vocoder, not a machine that speaks.""",
    ModelKey.DIARIZATION_31: """Simulated conversations of two to four synthesized voices in one language,
with overlap, pauses and silence.""",
}
_DATA[ModelKey.ACCENT_ECAPA] = _DATA[ModelKey.ACCENT_XLSR]
_DATA[ModelKey.DIARIZATION_COMMUNITY_1] = _DATA[ModelKey.DIARIZATION_31]


def write_card(folder: Path, model: ModelKey, figures: Mapping[str, float]) -> None:
    """Write the card beside the checkpoint.

    Args:
        folder: Of the checkpoint.
        model: Its row.
        figures: What was measured on held-out voices, words and rates, by name.
    """
    row, recipes = CHECKPOINTS[model], recipes_of(model)
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in figures.items())
    steps = "; ".join(
        f"`{name}`: {recipe.clips} clips, {recipe.steps} steps, seed {recipe.seed}"
        for name, recipe in recipes.items()
    )
    (folder / CARD).write_text(
        f"""# Demo checkpoint in the layout of {row.hub_id}

A small network ({megabytes:.1f} MB) that shows the service at work on a machine without a hub. It was trained
on speech of two free synthesizers and on nothing else; the published checkpoint is another, much larger one.

**It must not be used** to decide anything about anybody: not who somebody is, where they come from, what they
speak, or whether a recording is genuine. Real speech is unlike all it was trained on.

## Data

{_DATA[model]}
{len(TRAINED)} variants of espeak-ng, each as three voices of other pitch and vocal tract, say random frequent
words; each clip is heard as it is and through a random chain of room, noise, band limit, codec and gain.
Made by `make demo-checkpoints` ({steps}).

## Measured

By `make demo-eval`, on {len(HELD_OUT)} other variants of espeak-ng and one other voice of flite, other words
and other rates; half of the clips went through the random chain.

| figure | value |
|---|---|
{rows}
""",
        encoding="utf-8",
    )
    measured = {name: round(value, 4) for name, value in figures.items()}
    (folder / FIGURES).write_text(json.dumps({"model": model, "figures": measured}, indent=2) + "\n")


def recipes_of(model: ModelKey) -> dict[str, Recipe]:
    """The recipes that a checkpoint is made by."""
    names = (
        NETWORKS if model in (ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1) else (model.value,)
    )
    return {name: RECIPES[name] for name in names}
