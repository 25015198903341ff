"""What a recording must be before it is kept or compared; a gate says its figure and its limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gallery.calibration import Calibration
from gallery.decisions import FIXED_COSINE
from gallery.search import Rows, centroids, unit
from voxgraph.results.gallery import Decision, Evidence, GalleryPolicy, Reason, SpoofGate
from voxgraph.results.quality import LOW_SNR_DB, MUCH_CLIPPED, TELEPHONE_HZ

LEAST_SNR_DB = 2.0
"""Below it nothing is enrolled or compared; Azure's speaker recognition had the same floor."""
MOST_CLIPPED = 0.005
"""Share of clipped samples above which nothing is enrolled or compared."""
DISAGREES_LLR = 0.0
"""Log-likelihood ratio of a reference and the speaker's others below which another person is likelier."""
GENERATED, UNSURE = "ai_generated", "inconclusive"
"""Verdicts of `voxgraph.results.Finding` that are against a recording, or do not clear it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the gates say of a recording."""

    reasons: tuple[Reason, ...] = ()
    """Why it is refused; none: it may be kept."""
    warnings: tuple[Reason, ...] = ()

    def __add__(self, other: "Checked") -> "Checked":
        return Checked(self.reasons + other.reasons, self.warnings + other.warnings)


def check_enrolment(evidence: Evidence, policy: GalleryPolicy) -> Checked:
    """Check what is known of a recording before its voice becomes a reference.

    Refused are too little speech, noise, clipping, several speakers, and a generated voice if the policy
    says so; figures that nobody measured refuse nothing, but a spoof gate that refuses needs a verdict. A
    telephone's bandwidth is only a warning.
    """
    reasons = (
        *_too_short(evidence, policy.reference_speech_s), *_refused_sound(evidence), *_several(evidence)
    )  # fmt: skip
    spoof = tuple(_spoof(evidence, policy.spoof_gate))
    refuses = policy.spoof_gate == "refuse" and evidence.spoof_verdict != UNSURE
    checked = Checked(reasons, tuple(_poor_sound(evidence)))
    return checked + (Checked(spoof) if refuses else Checked(warnings=spoof))


def probe_refusal(evidence: Evidence, policy: GalleryPolicy) -> Decision | None:
    """Return the decision about a recording that must not be compared; None: it may be.

    A generated voice is refused here wherever the policy's spoof gate is ``refuse``; an unsure verdict, or
    none, refuses nobody.
    """
    if any(_too_short(evidence, policy.probe_speech_s)):
        return Decision.NOT_ENOUGH_SPEECH
    if any(_several(evidence)):
        return Decision.SEVERAL_SPEAKERS
    if any(_refused_sound(evidence)):
        return Decision.LOW_QUALITY
    if policy.spoof_gate == "refuse" and evidence.spoof_verdict == GENERATED:
        return Decision.SPOOF_SUSPECTED
    return None


def remaining_speech_s(speech_s: float, policy: GalleryPolicy) -> float:
    """Return the seconds of speech that are missing until a speaker takes part in decisions, 0 or more."""
    return max(0.0, policy.active_speech_s - speech_s)


def check_agreement(
    vector: Rows, speech_s: float, others: Sequence[Rows], others_s: float, calibration: Calibration | None
) -> Checked:
    """Check that a new reference is of the speaker of the others, whichever of their rows it is nearest to.

    Args:
        vector: (dim,), any length but 0.
        speech_s: Seconds of speech in it.
        others: The speaker's other references in the space, (dim,) each; none: there is nothing to check.
        others_s: Seconds of speech in them.
        calibration: Of the space; None: half the fixed cosine is asked.
    """
    if not len(others):
        return Checked()
    cosine = float((centroids(np.stack(list(others))) @ unit(vector)).max())
    if calibration is None:
        value, limit = cosine, FIXED_COSINE["balanced"] / 2
    else:
        value, limit = float(calibration.llr(cosine, others_s, speech_s)), DISAGREES_LLR
    if value >= limit:
        return Checked()
    text = "The voice is not that of the speaker's other references."
    return Checked((Reason("reference_disagrees", text, round(value, 3), limit),))


def check_duplicates(names: Sequence[str], policy: GalleryPolicy) -> Checked:
    """Say that the voice is probably that of other speakers of the gallery.

    Args:
        names: External ids of these speakers.
        policy: Its ``duplicates`` allows them, warns or refuses.
    """
    if not names or policy.duplicates == "allow":
        return Checked()
    others = "another speaker" if len(names) == 1 else f"{len(names)} other speakers"
    found = (Reason("possible_duplicate", f"The voice is probably that of {others}.", speakers=tuple(names)),)
    return Checked(found) if policy.duplicates == "refuse" else Checked(warnings=found)


def _too_short(evidence: Evidence, least_s: float) -> Iterator[Reason]:
    if evidence.speech_s < least_s:
        text = f"{evidence.speech_s:.1f} s of speech are less than {least_s:g} s."
        yield Reason("not_enough_speech", text, evidence.speech_s, least_s)


def _refused_sound(evidence: Evidence) -> Iterator[Reason]:
    snr, clipped = evidence.snr_db, evidence.clipped_ratio
    if snr is not None and snr < LEAST_SNR_DB:
        text = f"The sound is {snr:.0f} dB above the noise; it must be {LEAST_SNR_DB:g}."
        yield Reason("noise", text, snr, LEAST_SNR_DB)
    if clipped is not None and clipped > MOST_CLIPPED:
        text = f"{100 * clipped:.1f} % of the samples are clipped, more than {100 * MOST_CLIPPED:g} %."
        yield Reason("clipped", text, clipped, MOST_CLIPPED)


def _poor_sound(evidence: Evidence) -> Iterator[Reason]:
    snr, clipped, highest_hz = evidence.snr_db, evidence.clipped_ratio, evidence.bandwidth_hz
    if snr is not None and LEAST_SNR_DB <= snr < LOW_SNR_DB:
        yield Reason("noise", f"The sound is only {snr:.0f} dB above the noise.", snr, LOW_SNR_DB)
    if clipped is not None and MUCH_CLIPPED <= clipped <= MOST_CLIPPED:
        yield Reason("clipped", f"{100 * clipped:.1f} % of the samples are clipped.", clipped, MUCH_CLIPPED)
    if highest_hz is not None and highest_hz <= TELEPHONE_HZ:
        text = f"Nothing is above {highest_hz / 1000:.1f} kHz, as on a telephone."
        yield Reason("narrow_band", text, float(highest_hz), float(TELEPHONE_HZ))


def _several(evidence: Evidence) -> Iterator[Reason]:
    heard = evidence.speakers_heard
    if heard is not None and heard > 1:
        yield Reason("several_speakers", f"{heard} speakers are heard; it must be one.", float(heard), 1.0)


def _spoof(evidence: Evidence, gate: SpoofGate) -> Iterator[Reason]:
    if gate == "off":
        return
    score = evidence.spoof_score
    if evidence.spoof_verdict == GENERATED:
        yield Reason("spoof_suspected", "The voice is probably generated.", score)
    elif evidence.spoof_verdict == UNSURE:
        yield Reason("spoof_inconclusive", "Whether the voice is generated cannot be told.", score)
    elif evidence.spoof_verdict is None and gate == "refuse":
        yield Reason("spoof_unchecked", "Nobody checked whether the voice is generated.")
