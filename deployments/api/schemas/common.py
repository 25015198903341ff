"""What the response bodies share."""

from typing import Any

from pydantic import BaseModel, ConfigDict


def example(**fields: Any) -> ConfigDict:
    """Return a ``model_config`` with an example for the documentation."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class TimingInfo(BaseModel):
    """Processing time and duration of the recording, in seconds."""

    processing_time: float
    audio_duration: float


class ProcessingInfo(TimingInfo):
    """Times in seconds, and the device of the model that answered."""

    model_device: str
    """``cpu`` or ``cuda:0``."""
