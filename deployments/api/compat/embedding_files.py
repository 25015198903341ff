"""The vector in an uploaded embedding file: JSON, .npy, .npz, safetensors, a pickle or a file of torch.save.

What a file is, its content says. Without torch, so that the ingress can ask.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deployments.api.compat.restricted_pickle import Array, Numbers, array_of, unpickled_numbers
from voxgraph.errors import InvalidEmbedding, InvalidRequest, UnreadableEmbedding, UploadTooLarge
from voxgraph.similarity import EMBEDDING_DIM

MAX_BYTES = 1 << 20
"""The largest file, and the largest unpacked member of one: 1000 times what a vector needs, since the pickle
of one row of a batch holds the whole batch."""
MAX_NESTING = 8
"""How many lists of one item may lie round the numbers or round each of them."""
MAX_NAME = 256
"""Characters of a model's name or revision."""

_Fields = dict[str, Any]
"""What a file holds: ``embedding`` and perhaps ``model`` and ``revision``."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingFile:
    """What an embedding file says."""

    vector: npt.NDArray[np.float32]
    """Shape (192,), float32, contiguous, finite, not zero."""
    model: str | None = None
    """The encoder, where the file names it."""
    revision: str | None = None
    """The encoder's checkpoint, where the file names it."""


def read_embedding(data: bytes) -> EmbeddingFile:
    """The vector of an embedding file, with its encoder where the file names it.

    Axes of length one are taken away, numbers of any width become float32.

    Raises:
        UploadTooLarge: More than `MAX_BYTES`.
        UnreadableEmbedding: No format that is read here, damaged, or with more in it than numbers.
        InvalidEmbedding: Other than 192 numbers, or all zero, or NaN or infinite ones.
    """
    if len(data) > MAX_BYTES:
        raise UploadTooLarge(f"The embedding file has {len(data)} bytes; the limit is {MAX_BYTES}.")
    read = _reader(data)
    try:
        fields = read(data)
        return EmbeddingFile(_vector(fields["embedding"]), _name(fields, "model"), _name(fields, "revision"))
    except InvalidRequest:
        raise
    except Exception as error:
        # The parsers below fail on hostile bytes in more ways than they document, and each means the same.
        raise UnreadableEmbedding("The embedding file is damaged or holds something else.") from error


def _reader(data: bytes) -> Callable[[bytes], _Fields]:
    """Who reads a file, by its first bytes."""
    if data[:6] == b"\x93NUMPY":
        return _from_npy
    if data[:4] == b"PK\x03\x04":
        return _from_zip
    # The header's length, and its JSON. Before pickles: a length may look like their first two bytes.
    if data[2:9] == b"\0\0\0\0\0\0{":
        return _from_safetensors
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{"):
        return _from_json
    if data[:1] in (b"\x80", b"(", b"]", b"c") and data[-1:] == b".":
        return _from_pickle
    raise UnreadableEmbedding(
        "Not an embedding file: send JSON, .npy, .npz, safetensors or the pickle of an array, list or tensor."
    )


def _vector(content: Any) -> npt.NDArray[np.float32]:
    """The numbers as a vector of shape (192,) that has a direction."""
    numbers = _numbers(content)
    _check_shape(numbers.shape)
    with np.errstate(all="ignore"):
        vector = np.array(numbers, np.float32)
    if not np.isfinite(vector).all():
        raise InvalidEmbedding("The embedding has NaN or infinite numbers, or some too large for float32.")
    if not vector.any():
        raise InvalidEmbedding("An embedding of zeros has no direction.")
    return vector


def _numbers(content: Any) -> Array:
    """The numbers of an array or a list, without axes of length one."""
    content = _unwrapped(content)
    if isinstance(content, np.ndarray):
        return content
    if not isinstance(content, list | tuple):
        raise UnreadableEmbedding("The embedding is neither an array nor a list of numbers.")
    _check_shape((len(content),))
    return np.array([_number(item) for item in content], np.float64)


def _check_shape(shape: tuple[int, ...]) -> None:
    if shape != (EMBEDDING_DIM,):
        raise InvalidEmbedding(f"An embedding of shape {shape}; it has {EMBEDDING_DIM} numbers.")


def _number(item: Any) -> float:
    item = _unwrapped(item)
    if isinstance(item, np.ndarray) and item.ndim == 0:
        return float(item)
    # Not isinstance, to which a bool is a number.
    if type(item) in (int, float):
        return float(item)
    raise UnreadableEmbedding("The embedding's list holds something else than numbers.")


def _unwrapped(value: Any) -> Any:
    """What lies inside lists of one item; of an array, its axes longer than one.

    Looks at one item a level, so that lists which hold each other many times, or themselves, cost nothing.
    """
    for _ in range(MAX_NESTING):
        if not isinstance(value, list | tuple) or len(value) != 1:
            break
        value = value[0]
    value = value.array if isinstance(value, Numbers) else value
    return np.squeeze(value) if isinstance(value, np.ndarray) else value


def _name(fields: _Fields, key: str) -> str | None:
    name = fields.get(key)
    if name is None or (isinstance(name, str) and len(name) <= MAX_NAME and _is_text(name)):
        return name
    raise UnreadableEmbedding(f"The embedding's {key} is not a text of at most {MAX_NAME} characters.")


def _is_text(name: str) -> bool:
    """Whether it can be sent: JSON escapes may name half of a character, which no encoding takes."""
    return name.encode(errors="replace").decode() == name


def _from_json(data: bytes) -> _Fields:
    """A list, or an object with the list as ``embedding``."""
    content = json.loads(data, parse_int=float)
    if not isinstance(content, dict):
        return {"embedding": content}
    if "embedding" not in content:
        raise UnreadableEmbedding("The JSON object has no 'embedding'.")
    return content


_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16"}
_SAFETENSORS |= {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}


def _from_safetensors(data: bytes) -> _Fields:
    """Eight bytes of length, a JSON header of that length, the numbers."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    about = header.pop("__metadata__", {})
    tensor = header[_the_one(header)]
    first, end = tensor["data_offsets"]
    if not 0 <= first <= end <= len(data) - start:
        raise UnreadableEmbedding("The tensor lies beyond the end of the file.")
    numbers = array_of(data[start + first : start + end], _SAFETENSORS.get(tensor["dtype"]), tensor["shape"])
    return {"model": about.get("model"), "revision": about.get("revision"), "embedding": numbers}


def _from_npy(data: bytes) -> _Fields:
    """The header is read by numpy, as a literal of limited length; the numbers here."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _columns_first, dtype = read(file, max_header_size=1024)
    return {"embedding": array_of(data[file.tell() :], dtype.str, shape)}


def _from_pickle(data: bytes) -> _Fields:
    """An array, a tensor, or a list or tuple of numbers."""
    return {"embedding": unpickled_numbers(data)}


def _from_zip(data: bytes) -> _Fields:
    """An .npz, or what torch.save writes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        program = next((name for name in names if name.endswith("/data.pkl")), None)
        if program is None:
            name = _the_one({name.removesuffix(".npy"): None for name in names})
            return _from_npy(_member(archive, f"{name}.npy"))
        folder = program.removesuffix("data.pkl")
        if f"{folder}byteorder" in names and _member(archive, f"{folder}byteorder") != b"little":
            raise UnreadableEmbedding("The tensor was saved on a big-endian machine.")
        return {
            "embedding": unpickled_numbers(
                _member(archive, program), lambda key: _member(archive, f"{folder}data/{key}")
            )
        }


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes. Its size is checked before it is unpacked, and no more is unpacked than that."""
    info = archive.getinfo(name)
    if info.file_size > MAX_BYTES:
        raise UnreadableEmbedding(f"{name[:80]!r} would unpack to more than {MAX_BYTES} bytes.")
    # The other methods reserve memory by what the file asks for.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnreadableEmbedding("The zip file is packed by a method that is not read here.")
    with archive.open(info) as member:
        return member.read(info.file_size + 1)


def _the_one(names: dict[str, Any]) -> str:
    """The name of the only array, or ``embedding`` where there are several."""
    if len(names) != 1 and "embedding" not in names:
        raise UnreadableEmbedding(f"The file has {len(names)} arrays, and none is called 'embedding'.")
    return "embedding" if "embedding" in names else next(iter(names))
