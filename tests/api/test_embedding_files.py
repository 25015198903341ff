"""The vector of an embedding file: every format that clients send, and nothing that a file may try."""

import contextlib
import copyreg
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_safetensors
from safetensors.torch import save as save_torch_safetensors

from deployments.api.compat.embedding_files import MAX_BYTES, EmbeddingFile, read_embedding
from deployments.api.compat.restricted_pickle import MAX_OPCODES
from voxgraph.errors import InvalidEmbedding, InvalidRequest, UnreadableEmbedding, UploadTooLarge

# Few bits each, so that float16 and bfloat16 hold them exactly.
VECTOR = ((np.arange(192) - 95.5) % 16).astype(np.float32)
WHOLE = np.arange(192) - 96
PROTOCOLS = range(6)


def npy(array: npt.ArrayLike, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), **options)
    return file.getvalue()


def npz(save: Callable[..., None] = np.savez, **arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def zipped(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def saved(thing: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(thing, file, **options)
    return file.getvalue()


def assert_reads(data: bytes, expected: npt.ArrayLike = VECTOR) -> EmbeddingFile:
    found = read_embedding(data)
    np.testing.assert_array_equal(found.vector, np.asarray(expected, np.float32))
    assert found.vector.dtype == np.float32
    assert found.vector.flags.c_contiguous
    return found


OLD = {
    "array": VECTOR,
    "mean": np.mean([VECTOR - 1, VECTOR + 1], axis=0),
    "float64": VECTOR.astype(np.float64),
    "float16": VECTOR.astype(np.float16),
    "big-endian": VECTOR.astype(">f4"),
    "one row": VECTOR[None],
    "one column": VECTOR[:, None],
    "encode_batch": VECTOR[None, None],
    "column of a batch": np.stack([VECTOR, WHOLE], axis=1)[:, 0],
    "read-only": np.frombuffer(VECTOR.tobytes(), np.float32),
    "list": VECTOR.tolist(),
    "tuple": tuple(VECTOR.tolist()),
    "list of one list": [VECTOR.tolist()],
    "list of lists of one": [[x] for x in VECTOR.tolist()],
    "list of numpy numbers": list(VECTOR),
    "list of arrays of one": [np.array([x]) for x in VECTOR],
    "list of one array": [VECTOR],
    "tensor": torch.tensor(VECTOR),
    "float64 tensor": torch.tensor(VECTOR).double(),
    "float16 tensor": torch.tensor(VECTOR).half(),
    "bfloat16 tensor": torch.tensor(VECTOR).bfloat16(),
    "tensor of encode_batch": torch.tensor(VECTOR)[None, None],
    "row of a batch": torch.tensor(np.stack([WHOLE, VECTOR]), dtype=torch.float32)[1],
    "column of a tensor": torch.tensor(np.stack([WHOLE, VECTOR], axis=1), dtype=torch.float32)[:, 1],
    "parameter": torch.nn.Parameter(torch.tensor(VECTOR)),
    "list of tensors": [torch.tensor(x) for x in VECTOR],
    "list of one tensor": [torch.tensor(VECTOR)],
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", OLD)
def test_a_pickle_of_any_protocol_is_read(kind: str, protocol: int) -> None:
    assert_reads(pickle.dumps(OLD[kind], protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_whole_numbers_are_numbers(protocol: int) -> None:
    things = [WHOLE, WHOLE.astype(np.int8), WHOLE.tolist(), torch.tensor(WHOLE), torch.tensor(WHOLE).short()]
    for thing in things:
        assert_reads(pickle.dumps(thing, protocol), WHOLE)


def test_a_pickle_of_numpy_1_is_read() -> None:
    for protocol in range(4):
        data = pickle.dumps(VECTOR, protocol)
        assert b"numpy._core" in data
        assert_reads(data.replace(b"numpy._core", b"numpy.core"))


def with_memory(change: Callable[[bytes], bytes]) -> bytes:
    """The pickle of a tensor, with another memory than torch wrote."""
    data = pickle.dumps(torch.tensor(VECTOR), 3)
    start = data.index(b"B") + 5
    (length,) = struct.unpack_from("<I", data, start - 4)
    memory = change(data[start : start + length])
    return data[: start - 4] + struct.pack("<I", len(memory)) + memory + data[start + length :]


def test_a_pickled_tensor_of_a_gpu_is_read() -> None:
    assert_reads(with_memory(lambda memory: memory.replace(b"\3\0\0\0cpu", b"\6\0\0\0cuda:0")))


@pytest.mark.parametrize(
    "data",
    [
        npy(VECTOR),
        npy(VECTOR.astype(">f8")),
        npy(VECTOR[None, None]),
        npy(np.asfortranarray(VECTOR[:, None])),
        npz(embedding=VECTOR),
        npz(anything=VECTOR),
        npz(embedding=VECTOR, other=WHOLE),
        npz(np.savez_compressed, embedding=VECTOR),
        json.dumps(VECTOR.tolist()).encode(),
        json.dumps({"embedding": [VECTOR.tolist()]}, indent=1).encode(),
        b"\xef\xbb\xbf \n" + json.dumps(VECTOR.tolist()).encode(),
        save_safetensors({"voice": VECTOR}),
        save_safetensors({"embedding": VECTOR[None], "other": WHOLE}),
        save_torch_safetensors({"embedding": torch.tensor(VECTOR).bfloat16()}),
        saved(torch.tensor(VECTOR)),
        saved(torch.tensor(VECTOR)[None, None].half()),
        saved(torch.tensor(VECTOR).bfloat16()),
        saved([torch.tensor(VECTOR)]),
        saved(VECTOR),
        saved(VECTOR.tolist()),
    ],
    ids=lambda data: repr(data[:6]),
)
def test_a_file_of_the_other_formats_is_read(data: bytes) -> None:
    assert_reads(data)


@pytest.mark.parametrize("width", range(0x80, 0x680, 0x100))
def test_a_safetensors_header_that_looks_like_a_pickle_is_one_of_safetensors(width: int) -> None:
    data = save_safetensors({"embedding": VECTOR})
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].ljust(width)

    assert_reads(struct.pack("<Q", len(header)) + header + data[8 + size :])


def test_the_encoder_is_told_where_the_file_names_it() -> None:
    about = {"model": "some/encoder", "revision": "abc"}
    named = [
        json.dumps({"embedding": VECTOR.tolist(), **about, "date": "today"}).encode(),
        save_safetensors({"embedding": VECTOR}, about),
    ]

    for data in named:
        found = assert_reads(data)
        assert (found.model, found.revision) == ("some/encoder", "abc")
    assert (assert_reads(npy(VECTOR)).model, assert_reads(npy(VECTOR)).revision) == (None, None)
    for wrong in (3, ["a"], "x" * 257):
        with pytest.raises(UnreadableEmbedding, match="revision"):
            read_embedding(json.dumps({"embedding": VECTOR.tolist(), "revision": wrong}).encode())


@pytest.mark.parametrize("key", ["model", "revision"])
@pytest.mark.parametrize("half", ["\ud800", "a\udfffb", "\udc00\ud800"])
def test_a_name_with_half_a_character_is_refused(key: str, half: str) -> None:
    named = json.dumps({"embedding": VECTOR.tolist(), key: half}).encode()
    plain = save_safetensors({"embedding": VECTOR}, {key: "HALF"})
    size = int.from_bytes(plain[:8], "little")
    header = plain[8 : 8 + size].replace(b"HALF", json.dumps(half)[1:-1].encode())
    tensors = struct.pack("<Q", len(header)) + header + plain[8 + size :]

    for data in (named, tensors):
        with pytest.raises(UnreadableEmbedding, match=key):
            read_embedding(data)
    whole = json.dumps({"embedding": VECTOR.tolist(), key: "\U0001f600"}).encode()
    assert getattr(assert_reads(whole), key) == "\U0001f600"


def test_a_tensor_is_read_without_torch(tmp_path: Path) -> None:
    for name, data in {
        "pickle": pickle.dumps(torch.tensor(VECTOR)),
        "zip": saved(torch.tensor(VECTOR)),
    }.items():
        (tmp_path / name).write_bytes(data)
    code = (
        "import sys; from pathlib import Path\n"
        "from deployments.api.compat.embedding_files import read_embedding\n"
        "for path in Path(sys.argv[1]).iterdir(): read_embedding(path.read_bytes())\n"
        "assert 'torch' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


WRONG_VECTORS = {
    "short": np.ones(191),
    "long": np.ones(193),
    "empty": np.ones(0),
    "two rows": np.ones((2, 192)),
    "folded": np.ones((2, 96)),
    "zero": np.zeros(192),
    "NaN": np.r_[np.ones(191), np.nan],
    "infinite": np.r_[np.ones(191), -np.inf],
    "beyond float32": np.r_[np.ones(191), 1e300],
    "below float32": np.full(192, 1e-300),
}


@pytest.mark.parametrize("kind", WRONG_VECTORS)
def test_a_vector_that_is_no_embedding_is_refused_in_every_format(kind: str) -> None:
    vector = WRONG_VECTORS[kind]
    files = [
        pickle.dumps(vector),
        pickle.dumps(vector.tolist()),
        pickle.dumps(torch.tensor(vector)),
        saved(torch.tensor(vector)),
        npy(vector),
        npz(embedding=vector),
        json.dumps(vector.tolist()).encode(),
        save_safetensors({"embedding": vector}),
    ]

    for data in files:
        with pytest.raises(InvalidEmbedding):
            read_embedding(data)


@pytest.mark.parametrize(
    "thing",
    [
        ["1.0"] * 192,
        [True] * 192,
        [None] * 192,
        [[1.0, 2.0]] * 192,
        3.5,
        "text",
        None,
        VECTOR.astype(complex),
        VECTOR > 0,
        VECTOR.astype(object),
        VECTOR.astype(str),
        VECTOR.view([("re", "f4")]),
        np.zeros(192, [("a", object)]),
        VECTOR.astype("M8[s]"),
        torch.tensor(VECTOR) > 0,
        torch.tensor(VECTOR).to_sparse(),
        {"embedding": VECTOR},
        {1.0, 2.0},
        np.ma.masked_array(VECTOR),
    ],
    ids=lambda thing: str(type(thing)),
)
def test_a_pickle_of_other_things_than_numbers_is_refused(thing: Any) -> None:
    for protocol in (0, 2, 5):
        with pytest.raises(UnreadableEmbedding):
            read_embedding(pickle.dumps(thing, protocol))


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.reduced


def text(value: str) -> bytes:
    """A text of protocol 0."""
    return pickle.dumps(value, 0).split(b"\n")[0] + b"\n"


def exploits(path: str) -> dict[str, bytes]:
    """Pickles of protocol 0 and above that make the file `path` where they are loaded by `pickle.loads`."""
    python = f"open({path!r}, 'w').close()"
    touch = f"touch {path}"
    object_array = np.empty(1, object)
    object_array[0] = Call(os.system, touch)
    inner = pickle.dumps(Call(os.system, touch), 2)
    call = b"(" + text(touch) + b"tR."
    run = b"(" + text(python) + b"tR."
    return {
        "os.system": pickle.dumps(Call(os.system, touch)),
        "os.system, protocol 0": pickle.dumps(Call(os.system, touch), 0),
        "posix.system": b"cposix\nsystem\n" + call,
        "eval": pickle.dumps(Call(eval, python)),
        "exec": pickle.dumps(Call(exec, python)),
        "exec of Python 2": b"c__builtin__\neval\n" + run,
        "Popen": pickle.dumps(Call(subprocess.Popen, ["touch", path])),
        "check_output": pickle.dumps(Call(subprocess.check_output, ["touch", path])),
        "pickle in a pickle": pickle.dumps(Call(pickle.loads, inner)),
        "getattr": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n("
        + text("os")
        + b"tR"
        + text("system")
        + b"tR"
        + call,
        "dotted name": b"\x80\x04\x8c\x02os\x8c\x0cpath.os.open\x93(\x8c"
        + bytes([len(path)])
        + path.encode()
        + b"K\x41tR.",
        "numpy runstring": b"cnumpy.testing._private.utils\nrunstring\n(" + text(python) + b"(dtR.",
        "numpy f2py": b"cnumpy.f2py.crackfortran\nmyeval\n(" + text(python) + b"(d(dtR.",
        "INST": b"(" + text(touch) + b"ios\nsystem\n.",
        "OBJ": b"(cos\nsystem\n" + text(touch) + b"o.",
        "object array": pickle.dumps(object_array),
        "object array, protocol 2": pickle.dumps(object_array, 2),
        "in a list": pickle.dumps([*VECTOR.tolist()[:191], Call(os.system, touch)]),
        "behind a good vector": pickle.dumps(VECTOR, 3)[:-1] + b"0cos\nsystem\n" + call,
        "instead of a hook": pickle.dumps(torch.tensor(VECTOR), 2).replace(
            b"ccollections\nOrderedDict\nq\x0b)", b"cos\nsystem\n(" + text(touch) + b"t", 1
        ),
        "storage of torch": pickle.dumps(Call(torch.storage._load_from_bytes, inner)),
        "memory of a tensor": with_memory(lambda _: inner),
        "behind the memory's magic": with_memory(lambda memory: memory[: memory.index(b".") + 1] + inner),
        "torch.load": b"ctorch.serialization\n_legacy_load\n(cio\nBytesIO\n(c_codecs\nencode\n("
        + text(inner.decode("latin1"))
        + text("latin1")
        + b"tRtRNctorch.serialization\npickle\ntR.",
    }


@pytest.mark.parametrize("name", exploits("x"))
def test_an_exploit_is_refused_and_does_not_run(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ran"
    data = exploits(str(path))[name]

    with pytest.raises(UnreadableEmbedding):
        read_embedding(data)
    assert not path.exists()

    # It is an exploit: a plain unpickler runs it, whatever comes of the rest.
    with contextlib.suppress(Exception):
        opened = pickle.loads(data)
        if isinstance(opened, subprocess.Popen):
            opened.wait()
    assert path.exists()


@pytest.mark.parametrize(
    "save", [npy, lambda array: npz(embedding=array), saved], ids=["npy", "npz", "torch.save"]
)
def test_an_exploit_in_a_file_of_objects_is_refused(save: Callable[[Any], bytes], tmp_path: Path) -> None:
    path = tmp_path / "ran"
    array = np.full(192, None)
    array[0] = Call(os.system, f"touch {path}")

    with pytest.raises(UnreadableEmbedding):
        read_embedding(save(array))
    assert not path.exists()


def test_a_pickle_cannot_reach_registered_extensions_or_objects_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(copyreg._inverted_registry, 240, ("os", "getpid"))  # type: ignore[attr-defined]
    assert pickle.loads(b"\x80\x02\x82\xf0)R.") == os.getpid()

    for data in (b"\x80\x02\x82\xf0)R.", b"\x80\x02\x83\xf0\0)R.", b"(P0\n.", b"\x80\x02X\1\0\0\x000Q."):
        with pytest.raises(UnreadableEmbedding):
            read_embedding(data)

    with pytest.raises(UnreadableEmbedding, match="outside"):
        read_embedding(b"\x80\x02(X\7\0\0\0storageX\x0c\0\0\0FloatStorageX\1\0\0\x000X\3\0\0\0cpuK\xc0tQ.")


@pytest.mark.parametrize("length", [0, 1, 20, 100, 200, 1 << 40])
def test_a_frame_that_ends_within_an_argument_does_not_change_what_is_read(length: int) -> None:
    data = pickle.dumps(VECTOR, 5)
    assert data[2:3] == b"\x95"

    assert_reads(data[:3] + struct.pack("<Q", length) + data[11:])


@pytest.mark.parametrize(
    "build",
    [
        b"c_codecs\nencode\n(N}X\1\0\0\0aK\1s\x86b.",
        b"cnumpy\ndtype\n}X\4\0\0\0codeK\1sb.",
        b"cnumpy\ndtype\n(K\3X\1\0\0\0<tb.",
        b"ctorch._utils\n_rebuild_tensor_v2\nNccollections\nOrderedDict\n]X\1\0\0\0aK\1\x86a\x85R\x86b.",
    ],
)
def test_a_pickle_leaves_no_trace_in_what_it_may_use(build: bytes) -> None:
    with pytest.raises(UnreadableEmbedding):
        read_embedding(b"\x80\x02" + build)

    assert_reads(pickle.dumps(torch.tensor(VECTOR), 2))
    assert_reads(pickle.dumps(VECTOR, 2))


def recursive() -> list[Any]:
    items: list[Any] = [0.0] * 191
    items.append(items)
    return items


def counted(length: bytes, size: int) -> bytes:
    return length + size.to_bytes(8, "little")


def header_of_npy(header: str) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + VECTOR.tobytes()


def header_of_safetensors(**tensor: Any) -> bytes:
    whole = {"dtype": "F32", "shape": [192], "data_offsets": [0, 768]} | tensor
    header = json.dumps({"embedding": whole}).encode()
    return struct.pack("<Q", len(header)) + header + VECTOR.tobytes()


def tensor_of(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    memory = torch.tensor(VECTOR)._typed_storage()
    return pickle.dumps(Call(torch._utils._rebuild_tensor_v2, memory, offset, size, stride, False, None))


HALF = MAX_BYTES // 2
BOMBS = {
    "high memo": b"\x80\x02K\1r\xff\xff\xff\xff.",
    "high memo as text": b"(p4000000000\n.",
    "negative memo": b"(p-1\n.",
    "BINBYTES": b"\x80\x03B\xff\xff\xff\xff.",
    "BINBYTES8": counted(b"\x80\x04\x8e", 1 << 40) + b".",
    "BINBYTES8 of all": counted(b"\x80\x04\x8e", (1 << 64) - 1) + b".",
    "BYTEARRAY8": counted(b"\x80\x05\x96", 1 << 36) + b".",
    "FRAME": counted(b"\x80\x05\x95", 1 << 40) + b"N.",
    "LONG4": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "long number": b"(L" + b"9" * HALF + b"L\n.",
    "many instructions": b"\x80\x02" + b"N" * (MAX_BYTES - 3) + b".",
    "deep lists": b"\x80\x02" + b"]" * 9000 + b"a" * 8999 + b".",
    "deep tuples": b"\x80\x02)" + b"\x85" * (MAX_OPCODES - 3) + b".",
    "doubled lists": b"\x80\x02]q\0" + b"](h\0h\0eq\0" * 60 + b".",
    "hash of doubled tuples": b"\x80\x02})" + b"q\0h\0\x86" * 60 + b"Ns.",
    "lists of lists": pickle.dumps([[[[0.0] * 192] * 192] * 192] * 192),
    "recursive": pickle.dumps(recursive()),
    "long text encoded again and again": b"\x80\x02c_codecs\nencode\nq\0X"
    + struct.pack("<I", HALF)
    + b"a" * HALF
    + b"X\6\0\0\0latin1\x86q\1"
    + b"h\0h\1R" * 5000
    + b".",
    "tensor beyond its memory": tensor_of(1, (192,), (1,)),
    "tensor before its memory": tensor_of(191, (192,), (-1,)),
    "tensor whose end overflows": tensor_of(0, (5,), (1 << 62,)),
    "tensor of one number": tensor_of(0, (1 << 40, 1 << 40), (0, 0)),
    "npy of a large shape": header_of_npy(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000,)}"
    ),
    "npy of a larger shape": header_of_npy(
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**30},)}}"
    ),
    "npy of a deep header": header_of_npy("[" * 60_000),
    "npy of a long header": header_of_npy("-" * 900 + "1"),
    "npz of many zeros": npz(np.savez_compressed, embedding=np.zeros(3 * MAX_BYTES)),
    "npz that lies": npz(np.savez_compressed, embedding=np.zeros(3 * MAX_BYTES)).replace(
        struct.pack("<I", 24 * MAX_BYTES + 128), struct.pack("<I", 896)
    ),
    "npz by lzma": zipped(zipfile.ZIP_LZMA, embedding=npy(VECTOR)),
    "npz of two arrays": zipped(a=npy(VECTOR), b=npy(VECTOR)),
    "JSON, deep": b"[" * MAX_BYTES,
    "JSON, deep objects": b'{"embedding":' * (MAX_BYTES // 13),
    "JSON, long number": b"[" + b"9" * (MAX_BYTES - 2) + b"]",
    "JSON, many lists": b"[" + b"[]," * (MAX_BYTES // 3 - 1) + b"[]]",
    "JSON without a vector": b'{"model": "some/encoder"}',
    "safetensors of a long header": b"\xff\xff" + bytes(6) + b"{}",
    "safetensors of a large shape": header_of_safetensors(shape=[1 << 62, 1 << 62]),
    "safetensors beyond the end": header_of_safetensors(data_offsets=[0, 1 << 60]),
    "safetensors of text": header_of_safetensors(dtype="STRING"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_would_cost_much_is_refused_for_little(name: str) -> None:
    assert len(BOMBS[name]) <= MAX_BYTES
    tracemalloc.start()
    start_s = time.process_time()
    try:
        with pytest.raises(InvalidRequest):
            read_embedding(BOMBS[name])
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 64 << 20
    assert time.process_time() - start_s < 5


def test_a_file_beyond_the_limit_is_not_looked_at() -> None:
    with pytest.raises(UploadTooLarge, match=str(MAX_BYTES)):
        read_embedding(bytes(MAX_BYTES + 1))


SEEDS = [
    *(pickle.dumps(OLD[kind], protocol) for kind in ("array", "list", "tensor") for protocol in (0, 2, 5)),
    pickle.dumps(list(VECTOR)),
    saved(torch.tensor(VECTOR).bfloat16()),
    npy(VECTOR),
    npz(np.savez_compressed, embedding=VECTOR),
    save_safetensors({"embedding": VECTOR}, {"model": "some/encoder"}),
    json.dumps({"embedding": VECTOR.tolist(), "model": "some/encoder"}).encode(),
]
EDITS = st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 8), st.binary(max_size=8)), max_size=6)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SEEDS) | st.binary(max_size=300), EDITS)
def test_any_bytes_are_read_or_refused(data: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    for position, deleted, inserted in edits:
        position %= len(data) + 1
        data = data[:position] + inserted + data[position + deleted :]

    with contextlib.suppress(InvalidRequest):
        assert read_embedding(data).vector.shape == (192,)
