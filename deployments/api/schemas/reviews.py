"""Bodies of what people say of decisions; `voxgraph.results` has the fields' meaning."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from deployments.api.schemas.common import example
from deployments.api.schemas.galleries import CalibrationAnswer, Record
from voxgraph.results import Decision, OperatingPoint, Verdict

Kind = Literal["verify", "identify"]


class ReviewAnswer(Record):
    """A decision, and what a person who looked at it says of it."""

    model_config = ConfigDict(from_attributes=True) | example(
        decision_id="dec_0192f1c5", kind="identify", decision="match", operating_point="balanced",
        at="2026-11-28T10:00:09Z", verdict="rejected", reviewed_at="2026-11-28T12:00:00Z",
        reviewed_by="reception",
    )  # fmt: skip

    decision_id: str
    kind: Kind
    decision: Decision
    operating_point: OperatingPoint
    at: datetime
    verdict: Verdict
    reviewed_at: datetime
    reviewed_by: str
    """Name of the key."""


class RateAnswer(BaseModel):
    """A rate of errors with its 95 % interval by Clopper and Pearson."""

    rate: float | None
    """Null without trials."""
    low: float
    high: float
    errors: int
    trials: int


class ReviewsAnswer(Record):
    """What people say of the decisions at one operating point, as far as the journal goes back.

    The rates hold for all decisions only if those that people looked at were chosen by chance.
    """

    kind: Kind
    operating_point: OperatingPoint
    made: dict[str, int]
    """Number of each decision."""
    confirmed: dict[str, int]
    rejected: dict[str, int]
    wrong_matches: RateAnswer
    """Among all that were accepted: how many were not the one who was named."""
    false_accepts: RateAnswer
    """Among all who should not have been accepted: how many were."""
    false_rejects: RateAnswer
    """Among all who should have been accepted: how many were not."""


class ReportAnswer(BaseModel):
    """A calibration report for each space of the gallery, and what people say of its decisions."""

    reports: list[CalibrationAnswer]
    reviews: list[ReviewsAnswer]
