"""Import OpenVINO without its telemetry."""

import sys

# OpenVINO sends telemetry through this module at import, which also writes an id to the home folder.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

__all__ = ["openvino"]
