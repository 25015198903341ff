"""Import the parts of SpeechBrain that the pipelines use.

SpeechBrain also imports its training loop, whose batch sampler imports ``scipy.stats``. That takes longer
than the rest of SpeechBrain and only training needs it, so a stub replaces it.
"""

from pipelines.vendored.stubbed_modules import stubbed_modules

with stubbed_modules({"scipy.stats": {"lognorm": None}}):
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
    from speechbrain.nnet.CNN import Conv1d
    from speechbrain.nnet.normalization import BatchNorm1d

__all__ = [
    "ECAPA_TDNN", "AttentiveStatisticsPooling", "BatchNorm1d", "Classifier", "Conv1d", "Fbank",
    "Res2NetBlock", "SEBlock", "SERes2NetBlock", "TDNNBlock", "XvectorClassifier",
]  # fmt: skip
