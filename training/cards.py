"""Model cards of the demo checkpoints, as Markdown and as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path

from config.checkpoints import CHECKPOINTS
from training.corpus import ACCENTS
from training.recipes import NETWORKS, RECIPES, Recipe
from training.texts import ASIAN, DIALECTS
from training.voices import HELD_OUT_VARIANTS, TRAINING_VARIANTS
from voxgraph.options import ModelKey

CARD, FIGURES = "README.md", "figures.json"

_ASIAN = ", ".join(code for code in DIALECTS if code in ASIAN)
_OTHERS = ", ".join(code for code in DIALECTS if code not in ASIAN)
_DATA = {
    ModelKey.LANGUAGE: f"""Speech of espeak-ng in {_ASIAN}, {_OTHERS}, and of flite in English. The label file
has all 107 languages of VoxLingua107; those not in the training data get almost no probability.""",
    ModelKey.SPEAKER_VOXCELEB: f"Voices of espeak-ng in {_OTHERS}, and of flite in English.",
    ModelKey.SPEAKER_CNCELEB: f"Voices of espeak-ng in {_ASIAN}.",
    ModelKey.ACCENT_XLSR: f"""English of espeak-ng and flite in {", ".join(ACCENTS)} (bermuda: espeak-ng's
Caribbean English). The label file has CommonAccent's 16; the others were not in the training data.""",
    ModelKey.DEEPFAKE: """Synthesized speech as *real*, and the same clips through Griffin-Lim (of 80 mels)
and WORLD as *fake*. Both classes are demo data: the model recognises vocoders, not speech synthesis.""",
    ModelKey.DIARIZATION_31: """Simulated conversations of two to four synthesized voices in one language,
with overlap, pauses and silence.""",
}
_DATA[ModelKey.ACCENT_ECAPA] = _DATA[ModelKey.ACCENT_XLSR]
_DATA[ModelKey.DIARIZATION_COMMUNITY_1] = _DATA[ModelKey.DIARIZATION_31]


def write_card(folder: Path, model: ModelKey, figures: Mapping[str, float]) -> None:
    """Write ``README.md`` and ``figures.json`` beside the checkpoint.

    Args:
        folder: Folder of the checkpoint.
        model: Key of the checkpoint.
        figures: Values measured on held-out voices, words and rates, by name.
    """
    row, recipes = CHECKPOINTS[model], recipes_for(model)
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in figures.items())
    steps = "; ".join(
        f"`{name}`: {recipe.clips} clips, {recipe.steps} steps, seed {recipe.seed}"
        for name, recipe in recipes.items()
    )
    (folder / CARD).write_text(
        f"""# Demo checkpoint in the layout of {row.hub_id}

A small network ({megabytes:.1f} MB) that demonstrates the service without a download. It was trained only
on speech of two free synthesizers; the published checkpoint is a different and much larger network.

**It must not be used** to decide anything about a person: identity, origin, language, or whether a recording
is genuine. Real speech differs from everything it was trained on.

## Data

{_DATA[model]}
{len(TRAINING_VARIANTS)} variants of espeak-ng, each with three combinations of pitch and vocal tract length,
speak random frequent words; each clip is used as it is and with a random chain of room, noise, band limit,
codec and gain. Trained by `make demo-checkpoints` ({steps}).

## Measured

Figures of `make demo-eval` on {len(HELD_OUT_VARIANTS)} held-out variants of espeak-ng and one of flite, with
held-out words and speaking rates; half of the clips went through the random chain.

| figure | value |
|---|---|
{rows}
""",
        encoding="utf-8",
    )
    measured = {name: round(value, 4) for name, value in figures.items()}
    (folder / FIGURES).write_text(json.dumps({"model": model, "figures": measured}, indent=2) + "\n")


def recipes_for(model: ModelKey) -> dict[str, Recipe]:
    """Return the recipes of a checkpoint's networks."""
    names = (
        NETWORKS if model in (ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1) else (model.value,)
    )
    return {name: RECIPES[name] for name in names}
