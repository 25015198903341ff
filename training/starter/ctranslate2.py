"""Read CTranslate2's binary model format without the library (python/ctranslate2/specs/model_spec.py).

The file is little-endian: u32 binary version, string name of the specification, u32 revision of it, u32
number of variables; then for each variable string name, u8 rank, u32 for each dimension, u8 type, u32 number
of bytes, and the data in row-major order. A string is a u16 length, which includes its final NUL, and
that many bytes. The aliases after the variables are not read.
"""

import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxgraph.errors import CheckpointError

VERSION = 6
"""The binary version that can be read; others may have another header."""
TYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
"""Element types by their number in the file."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The variables of a model file."""

    specification: str
    """Kind of network, e.g. ``WhisperSpec``."""
    revision: int
    variables: dict[str, npt.NDArray[np.generic]]
    """Arrays by name; read-only views of the file's bytes."""


def read_model(data: bytes) -> ModelFile:
    """Read a whole ``model.bin``.

    Raises:
        CheckpointError: The content is truncated, of another version, or of another format.
    """
    reader = _Reader(data)
    version = reader.number("I")
    if version != VERSION:
        raise CheckpointError(f"The model file has binary version {version}; {VERSION} is read.")
    specification, revision = reader.string(), reader.number("I")
    variables = dict(reader.variable() for _ in range(reader.number("I")))
    return ModelFile(specification, revision, variables)


class _Reader:
    """Reads values from a file's bytes in order."""

    def __init__(self, data: bytes) -> None:
        self._data, self._offset = data, 0

    def number(self, kind: str) -> int:
        """Read an unsigned integer of one of struct's types."""
        return int(struct.unpack("<" + kind, self._take(struct.calcsize("<" + kind)))[0])

    def string(self) -> str:
        """Read a text, without its final NUL."""
        try:
            return bytes(self._take(self.number("H"))).removesuffix(b"\0").decode("ascii")
        except UnicodeDecodeError as error:
            raise CheckpointError("The model file has a name that is not ASCII text.") from error

    def variable(self) -> tuple[str, npt.NDArray[np.generic]]:
        """Read name and array of the next variable."""
        name = self.string()
        shape = tuple(self.number("I") for _ in range(self.number("B")))
        kind = TYPES.get(self.number("B"))
        content = self._take(self.number("I"))
        if kind is None or len(content) != math.prod(shape) * np.dtype(kind).itemsize:
            raise CheckpointError(f"The model file has {len(content)} bytes for {name} {shape}.")
        return name, np.frombuffer(content, kind).reshape(shape)

    def _take(self, size: int) -> memoryview:
        end = self._offset + size
        if end > len(self._data):
            raise CheckpointError("The model file is cut short.")
        taken = memoryview(self._data)[self._offset : end]
        self._offset = end
        return taken
