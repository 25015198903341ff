"""What is used of SpeechBrain.

It imports its training loop with everything else, and that a sampler of batches that draws from one
distribution of ``scipy.stats``, whose import takes longer than all of SpeechBrain; nothing here trains by it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _without_distributions() -> Iterator[None]:
    """While the block runs, importing ``scipy.stats`` finds a stand-in; the real one stays."""
    name = "scipy.stats"
    if name in sys.modules:
        yield
        return
    stand_in = ModuleType(name)
    stand_in.lognorm = None  # type: ignore[attr-defined]
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


with _without_distributions():
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.ECAPA_TDNN import (
        ECAPA_TDNN,
        AttentiveStatisticsPooling,
        Classifier,
        Res2NetBlock,
        SEBlock,
        SERes2NetBlock,
        TDNNBlock,
    )
    from speechbrain.lobes.models.Xvector import Classifier as XvectorClassifier

__all__ = [
    "ECAPA_TDNN",
    "AttentiveStatisticsPooling",
    "Classifier",
    "Fbank",
    "Res2NetBlock",
    "SEBlock",
    "SERes2NetBlock",
    "TDNNBlock",
    "XvectorClassifier",
]
