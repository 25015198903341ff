"""The response body of the peaks of a recording."""

from pydantic import BaseModel, ConfigDict


class PeaksAnswer(BaseModel):
    """The outline of a recording, as a player draws it."""

    model_config = ConfigDict(from_attributes=True)

    per_second: int
    scale: float
    """Largest magnitude of the recording, where full scale is 1; the values 127 and -127 stand for it."""
    data: str
    """Base64 of pairs of int8: the minimum and the maximum of each span of ``1 / per_second`` seconds."""
