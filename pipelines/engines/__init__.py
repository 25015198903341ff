"""Run a network on a runtime: torch by default, OpenVINO on a CPU where it is faster."""

from typing import Literal

Engine = Literal["torch", "openvino"]
Precision = Literal["float32", "bfloat16", "float16"]
