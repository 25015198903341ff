"""Read uploaded embedding files: JSON, .npy, .npz, safetensors, a pickle or a file of torch.save.

The content decides the format. Needs no torch, because it runs in the ingress.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deployments.api.compat import restricted_pickle
from deployments.api.compat.restricted_pickle import Array, ArrayHolder, make_array
from voxgraph.errors import InvalidEmbedding, InvalidRequest, UnreadableEmbedding, UploadTooLarge
from voxgraph.similarity import EMBEDDING_DIM

MAX_BYTES = 1 << 20
"""Size limit of a file, and of each unpacked member: 1000 times what a vector needs, because the pickle of
one row of a batch holds the whole batch."""
MAX_NESTING = 8
"""Most single-item lists that may enclose the numbers, or each number."""
MAX_NAME_CHARS = 256
"""Most characters of a model's name or revision."""

_Fields = dict[str, Any]
"""Content of a file: ``embedding`` and optionally ``model`` and ``revision``."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingFile:
    """The content of an embedding file."""

    vector: npt.NDArray[np.float32]
    """Shape (192,), float32, contiguous, finite, not zero."""
    model: str | None = None
    """The encoder, or None if the file does not name it."""
    revision: str | None = None
    """The encoder's checkpoint, or None if the file does not name it."""


def read_embedding(data: bytes) -> EmbeddingFile:
    """Read an embedding file: its vector, and its encoder if the file names it.

    Axes of length one are removed, and numbers of any width become float32.

    Raises:
        UploadTooLarge: The file has more than `MAX_BYTES`.
        UnreadableEmbedding: The format is unknown, or the file is damaged or contains more than numbers.
        InvalidEmbedding: The vector does not have 192 numbers, is zero, or has NaN or infinite numbers.
    """
    if len(data) > MAX_BYTES:
        raise UploadTooLarge(f"The embedding file has {len(data)} bytes; the limit is {MAX_BYTES}.")
    try:
        fields = _parser_for(data)(data)
        vector = _to_vector(fields["embedding"])
        return EmbeddingFile(vector, _text(fields, "model"), _text(fields, "revision"))
    except InvalidRequest:
        raise
    except Exception as error:
        # The parsers below raise more kinds of errors on hostile bytes than they document; all mean the same.
        raise UnreadableEmbedding("The embedding file is damaged or has unexpected content.") from error


def _parser_for(data: bytes) -> Callable[[bytes], _Fields]:
    """Return the parser of a file's format, by its first bytes."""
    if data[:6] == b"\x93NUMPY":
        return _from_npy
    if data[:4] == b"PK\x03\x04":
        return _from_zip
    # The header's length and its JSON. Checked first, because a length may look like the start of a pickle.
    if data[2:9] == b"\0\0\0\0\0\0{":
        return _from_safetensors
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{"):
        return _from_json
    if data[:1] in (b"\x80", b"(", b"]", b"c") and data[-1:] == b".":
        return _from_pickle
    raise UnreadableEmbedding(
        "Not an embedding file: send JSON, .npy, .npz, safetensors or the pickle of an array, list or tensor."
    )


def _to_vector(content: Any) -> npt.NDArray[np.float32]:
    """Return the numbers as a finite vector of shape (192,) that is not zero."""
    numbers = _to_array(content)
    _check_shape(numbers.shape)
    with np.errstate(all="ignore"):
        vector = np.array(numbers, np.float32)
    if not np.isfinite(vector).all():
        raise InvalidEmbedding("The embedding has NaN or infinite numbers, or some too large for float32.")
    if not vector.any():
        raise InvalidEmbedding("An embedding of zeros has no direction.")
    return vector


def _to_array(content: Any) -> Array:
    """Return the numbers of an array or a list, without axes of length one."""
    content = _unwrap(content)
    if isinstance(content, np.ndarray):
        return content
    if not isinstance(content, list | tuple):
        raise UnreadableEmbedding("The embedding is neither an array nor a list of numbers.")
    _check_shape((len(content),))
    return np.array([_to_float(item) for item in content], np.float64)


def _check_shape(shape: tuple[int, ...]) -> None:
    if shape != (EMBEDDING_DIM,):
        raise InvalidEmbedding(f"The embedding has shape {shape}; it must have {EMBEDDING_DIM} numbers.")


def _to_float(item: Any) -> float:
    item = _unwrap(item)
    # The exact type of a number, because isinstance accepts a bool as an int.
    if type(item) in (int, float) or (isinstance(item, np.ndarray) and item.ndim == 0):
        return float(item)
    raise UnreadableEmbedding("The embedding's list contains values that are not numbers.")


def _unwrap(value: Any) -> Any:
    """Return the value inside single-item lists, and an array without its axes of length one.

    Only one item per level is visited, so that lists which contain each other or themselves cost nothing.
    """
    for _ in range(MAX_NESTING):
        if not isinstance(value, list | tuple) or len(value) != 1:
            break
        value = value[0]
    value = value.array if isinstance(value, ArrayHolder) else value
    return np.squeeze(value) if isinstance(value, np.ndarray) else value


def _text(fields: _Fields, key: str) -> str | None:
    name = fields.get(key)
    if name is None or (isinstance(name, str) and len(name) <= MAX_NAME_CHARS and _is_encodable(name)):
        return name
    raise UnreadableEmbedding(f"The {key} is not a string of at most {MAX_NAME_CHARS} characters.")


def _is_encodable(name: str) -> bool:
    """Return False for lone surrogates, which JSON escapes can produce and UTF-8 cannot encode."""
    return name.encode(errors="replace").decode() == name


def _from_json(data: bytes) -> _Fields:
    """Parse a list, or an object with the list as ``embedding``."""
    content = json.loads(data, parse_int=float)
    if not isinstance(content, dict):
        return {"embedding": content}
    if "embedding" not in content:
        raise UnreadableEmbedding("The JSON object has no field 'embedding'.")
    return content


_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16"}
_SAFETENSORS |= {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}


def _from_safetensors(data: bytes) -> _Fields:
    """Parse eight bytes of length, a JSON header of that length, and the numbers."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata = header.pop("__metadata__", {})
    tensor = header[_array_name(header)]
    first, end = tensor["data_offsets"]
    if not 0 <= first <= end <= len(data) - start:
        raise UnreadableEmbedding("The tensor reaches beyond the end of the file.")
    raw = data[start + first : start + end]
    numbers = make_array(raw, _SAFETENSORS.get(tensor["dtype"]), tensor["shape"])
    return {"model": metadata.get("model"), "revision": metadata.get("revision"), "embedding": numbers}


def _from_npy(data: bytes) -> _Fields:
    """Parse the header with numpy, as a literal of limited length, and the numbers with `make_array`."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _fortran_order, dtype = read(file, max_header_size=1024)
    return {"embedding": make_array(data[file.tell() :], dtype.str, shape)}


def _from_pickle(data: bytes) -> _Fields:
    """Parse the pickle of an array, a tensor, or a list or tuple of numbers."""
    return {"embedding": restricted_pickle.loads(data)}


def _from_zip(data: bytes) -> _Fields:
    """Parse an .npz or a file of torch.save."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        pickle_name = next((name for name in names if name.endswith("/data.pkl")), None)
        if pickle_name is None:
            name = _array_name({name.removesuffix(".npy"): None for name in names})
            return _from_npy(_read_member(archive, f"{name}.npy"))
        folder = pickle_name.removesuffix("data.pkl")
        if f"{folder}byteorder" in names and _read_member(archive, f"{folder}byteorder") != b"little":
            raise UnreadableEmbedding("The tensor was saved on a big-endian machine.")
        pickled = _read_member(archive, pickle_name)
        numbers = restricted_pickle.loads(pickled, lambda key: _read_member(archive, f"{folder}data/{key}"))
        return {"embedding": numbers}


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member's bytes, after checking its declared size; no more than that is unpacked."""
    info = archive.getinfo(name)
    if info.file_size > MAX_BYTES:
        raise UnreadableEmbedding(f"{name[:80]!r} unpacks to more than {MAX_BYTES} bytes.")
    # The other methods allocate as much memory as the file declares.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnreadableEmbedding("The zip file uses an unsupported compression method.")
    with archive.open(info) as member:
        return member.read(info.file_size + 1)


def _array_name(names: dict[str, Any]) -> str:
    """Return the name of the only array, or ``embedding`` if there are several."""
    if len(names) != 1 and "embedding" not in names:
        raise UnreadableEmbedding(f"The file has {len(names)} arrays, and none is named 'embedding'.")
    return "embedding" if "embedding" in names else next(iter(names))
