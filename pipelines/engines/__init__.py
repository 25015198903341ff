"""The same network on another runtime: torch everywhere, OpenVINO where it is faster on a CPU."""

from typing import Literal

Engine = Literal["torch", "openvino"]
Precision = Literal["float32", "bfloat16", "float16"]
