"""OpenVINO without its telemetry."""

import sys

# At import OpenVINO reports its use to its makers through this module, which leaves an id in the home folder.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

__all__ = ["openvino"]
