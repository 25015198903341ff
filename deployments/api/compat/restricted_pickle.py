"""A restricted unpickler for numbers, numpy arrays and torch tensors; no code of a pickle is run.

A pickle is a program written by its sender. This virtual machine only lets it build numbers, and it does not
call, look up or import anything of numpy or torch for them.

It does not use pickle.Unpickler: the C version allocates as much memory as a pickle declares, and if a frame
ends within an argument, it reads on at another place than pickletools (3.11), so checking the opcodes
beforehand would not be safe.
"""

import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from voxgraph.errors import UnreadableEmbedding

MAX_OPCODES = 20_000
"""Most opcodes of a pickle; 192 scalar tensors in a list take 6345."""
MAX_COPIED_BYTES = 1 << 21
"""Most bytes that a pickle may copy."""

Array = npt.NDArray[Any]
_ReadStorage = Callable[[str], bytes]


def loads(data: bytes, read_storage: _ReadStorage | None = None) -> Any:
    """Load a pickle of numbers, of any protocol.

    `read_storage` returns the bytes of a tensor by its key, in a file of torch.save.

    Returns:
        A number, an `ArrayHolder`, or a list or tuple of them, which may contain itself. Other plain values
        are returned as well, so the caller must check the type.

    Raises:
        UnreadableEmbedding: The pickle needs more than numbers.
        Exception: ValueError, IndexError and others if the pickle is damaged.
    """
    return _VM(read_storage).run(data)


def make_array(raw: Any, code: Any, shape: Any) -> Array:
    """Make an array of `shape` from its bytes, as a view if possible; `code` is numpy's or ``bf16``.

    The axis order is ignored, because it makes no difference if all axes but one have length one.

    Raises:
        UnreadableEmbedding: The type is not an integer or floating-point type.
        ValueError, TypeError: The number of bytes does not match the shape.
    """
    if code == "bf16":
        # A bfloat16 is the upper half of a float32.
        return (make_array(raw, "<u2", shape).astype("<u4") << 16).view("<f4")
    # np.frombuffer refuses an empty buffer.
    numbers = np.frombuffer(raw, _check_type(code)) if len(raw) else np.empty(0)
    return numbers.reshape(shape)


_NUMBER_TYPE = re.compile(r"[<>=|]?([iu][1248]|f[248])")


def _check_type(code: Any) -> str:
    if not isinstance(code, str) or not _NUMBER_TYPE.fullmatch(code):
        raise UnreadableEmbedding("The embedding's array contains values that are not numbers.")
    return code


class ArrayHolder:
    """Stands for a numpy array or a torch tensor inside the virtual machine."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def set_state(self, state: Any) -> None:
        """Set the state of a numpy array: version, shape, dtype, Fortran order, bytes."""
        _version, shape, dtype, _fortran_order, raw = state
        self.array = make_array(raw, dtype.code, shape)


class _DType:
    """Stands for a numpy dtype inside the virtual machine."""

    __slots__ = ("code",)

    def __init__(self, code: Any) -> None:
        self.code = _check_type(code)

    def set_state(self, state: Any) -> None:
        """Set the state of a dtype: version, byte order, and items that numeric types do not use."""
        self.code = _check_type(state[1] + self.code[-2:])


class _VM:
    """Executes the pickle opcodes that numbers need, on a stack of harmless values.

    Dicts and sets are not supported, because hashing nested tuples can take forever or overflow the C stack.
    """

    def __init__(self, read_storage: _ReadStorage | None) -> None:
        self.read_storage = read_storage
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.free_bytes = MAX_COPIED_BYTES

    def run(self, data: bytes) -> Any:
        """Run a pickle and return the top of the stack. genops refuses lengths beyond the end of `data`."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count >= MAX_OPCODES:
                raise UnreadableEmbedding(f"The pickle has more than {MAX_OPCODES} opcodes.")
            if opcode.name not in _OPCODES:
                raise UnreadableEmbedding(f"The pickle uses the opcode {opcode.name}, which is not allowed.")
            _OPCODES[opcode.name](self, argument)
        return self.stack.pop()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, count: int) -> tuple[Any, ...]:
        """Pop values from the stack and return them, the oldest first."""
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        return values

    def pop_marked(self) -> tuple[Any, ...]:
        """Pop all values above the last mark."""
        start = self.marks.pop()
        values = tuple(self.stack[start:])
        del self.stack[start:]
        return values

    def extend(self, values: tuple[Any, ...]) -> None:
        """Extend the list on top of the stack."""
        if not isinstance(self.stack[-1], list):
            raise UnreadableEmbedding("The pickle appends to a value that is not a list.")
        self.stack[-1].extend(values)

    def push_global(self, module: Any, name: Any) -> None:
        """Push the stand-in for an allowed global; the global itself is never imported."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnreadableEmbedding("The pickle imports a name that is not a string.")
        full_name = f"{module}.{name}".replace("numpy.core.", "numpy._core.")
        if full_name not in _ALLOWED_GLOBALS:
            raise UnreadableEmbedding(f"The pickle imports {full_name[:80]!r}, which is not allowed.")
        self.push(_ALLOWED_GLOBALS[full_name])

    def call(self, builder: Any, arguments: Any) -> None:
        """Call a builder and push its result. No other value on the stack is callable."""
        if not callable(builder) or not isinstance(arguments, tuple):
            raise UnreadableEmbedding("The pickle calls a value that is not callable.")
        self.push(builder(self, *arguments))

    def set_state(self, state: Any) -> None:
        """Set the state of the array or dtype on top of the stack."""
        if not isinstance(self.stack[-1], ArrayHolder | _DType):
            raise UnreadableEmbedding("The pickle sets the state of a value that has none.")
        self.stack[-1].set_state(state)

    def load_storage(self, persistent_id: Any) -> None:
        """Push the storage of a tensor, which is outside the pickle."""
        _kind, code, key, _device, count = persistent_id
        if self.read_storage is None or not isinstance(key, str):
            raise UnreadableEmbedding("The pickle refers to objects outside of it.")
        self.push(ArrayHolder(make_array(self.charge(self.read_storage(key)), code, (count,))))

    def charge(self, raw: bytes) -> bytes:
        """Count copied bytes against the limit, because one long string can be encoded again and again."""
        self.free_bytes -= len(raw)
        if self.free_bytes < 0:
            raise UnreadableEmbedding(f"The pickle copies more than {MAX_COPIED_BYTES} bytes.")
        return raw


def _ignore(_vm: _VM, *_: Any) -> None:
    """Do nothing, for opcodes and objects that numbers do not need, such as frames and a tensor's hooks."""


_OPCODES: dict[str, Callable[[_VM, Any], None]] = {
    **dict.fromkeys(["PROTO", "FRAME", "STOP"], _ignore),
    **dict.fromkeys(["INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"], _VM.push),
    **dict.fromkeys(["FLOAT", "BINFLOAT", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"], _VM.push),
    **dict.fromkeys(["SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"], _VM.push),
    "NONE": lambda vm, _: vm.push(None),
    "NEWTRUE": lambda vm, _: vm.push(True),
    "NEWFALSE": lambda vm, _: vm.push(False),
    "MARK": lambda vm, _: vm.marks.append(len(vm.stack)),
    "EMPTY_LIST": lambda vm, _: vm.push([]),
    "LIST": lambda vm, _: vm.push(list(vm.pop_marked())),
    "APPEND": lambda vm, _: vm.extend(vm.pop(1)),
    "APPENDS": lambda vm, _: vm.extend(vm.pop_marked()),
    "EMPTY_TUPLE": lambda vm, _: vm.push(()),
    "TUPLE": lambda vm, _: vm.push(vm.pop_marked()),
    "TUPLE1": lambda vm, _: vm.push(vm.pop(1)),
    "TUPLE2": lambda vm, _: vm.push(vm.pop(2)),
    "TUPLE3": lambda vm, _: vm.push(vm.pop(3)),
    **dict.fromkeys(["GET", "BINGET", "LONG_BINGET"], lambda vm, index: vm.push(vm.memo[index])),
    **dict.fromkeys(
        ["PUT", "BINPUT", "LONG_BINPUT"], lambda vm, index: vm.memo.update({index: vm.stack[-1]})
    ),
    "MEMOIZE": lambda vm, _: vm.memo.update({len(vm.memo): vm.stack[-1]}),
    "GLOBAL": lambda vm, names: vm.push_global(*names.split(" ")),
    "STACK_GLOBAL": lambda vm, _: vm.push_global(*vm.pop(2)),
    "REDUCE": lambda vm, _: vm.call(*vm.pop(2)),
    "BUILD": lambda vm, _: vm.set_state(*vm.pop(1)),
    "BINPERSID": lambda vm, _: vm.load_storage(*vm.pop(1)),
}
"""Action of each allowed opcode, called with its argument; pickletools documents the opcodes."""


def _encode(vm: _VM, text: str, _encoding: str) -> bytes:
    """Encode bytes, which protocols 0 to 2 write as text."""
    return vm.charge(text.encode("latin1"))


def _storage(vm: _VM, blob: bytes) -> ArrayHolder:
    """Read a tensor's storage within a pickle, which is itself a chain of pickles; they are matched, not run.

    torch always writes them in the same form (torch/serialization.py, _legacy_save, 2.12.1).
    """
    found = _LEGACY_STORAGE.fullmatch(vm.charge(blob))
    if found is None:
        raise UnreadableEmbedding("The tensor's storage does not have the format that torch writes.")
    count = int.from_bytes(found["count"], "little")
    return ArrayHolder(make_array(found["raw"], _TORCH_TYPES.get(found["type"].decode()), (count,)))


def _tensor(_vm: _VM, storage: ArrayHolder, offset: int, size: Any, stride: Any, *_: Any) -> ArrayHolder:
    """Make a tensor as a view of its storage; offset, size and stride count numbers, not bytes."""
    flat = storage.array
    if not all(type(number) is int and 0 <= number < MAX_COPIED_BYTES for number in (offset, *size, *stride)):
        raise UnreadableEmbedding("The tensor has an invalid offset, shape or stride.")
    # numpy checks this as well, but its arithmetic can overflow.
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if last >= flat.size and 0 not in size:
        raise UnreadableEmbedding("The tensor reaches beyond its storage.")
    strides = tuple(step * flat.itemsize for step in stride)
    return ArrayHolder(np.ndarray(tuple(size), flat.dtype, flat, offset * flat.itemsize, strides))


_TORCH_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
}
_LEGACY_STORAGE = re.compile(
    # Magic number, version, byte order and type sizes, which torch writes alike on every machine.
    rb"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.\x80\x02M\xe9\x03\.\x80\x02\}q\x00\("
    rb"X\x10\0\0\0protocol_versionq\x01M\xe9\x03X\r\0\0\0little_endianq\x02\x88X\n\0\0\0type_sizesq\x03\}q\x04\("
    rb"X\x05\0\0\0shortq\x05K\x02X\x03\0\0\0intq\x06K\x04X\x04\0\0\0longq\x07K\x04uu\."
    # The persistent id: ("storage", type, key, device, count, None).
    rb"\x80\x02\(X\x07\0\0\0storageq\x00ctorch(?:\.cuda)?\n(?P<type>\w{1,20})\nq\x01X.\0\0\0(?P<key>\d{1,20})q\x02"
    rb"X.\0\0\0[a-z0-9:]{1,20}q\x03(?:K.|M..|J....)Ntq\x04Q\."
    # The list of keys, followed by the storage of each, with its count of numbers.
    rb"\x80\x02\]q\x00X.\0\0\0(?P=key)q\x01a\.(?P<count>.{8})(?P<raw>.*)",
    re.DOTALL,
)
_ALLOWED_GLOBALS: dict[str, Any] = {
    "_codecs.encode": _encode,
    "numpy.ndarray": None,
    "numpy.dtype": lambda _, code, *_rest: _DType(code),
    "numpy._core.multiarray._reconstruct": lambda *_: ArrayHolder(np.empty(0)),
    "numpy._core.multiarray.scalar": lambda _, dtype, raw: ArrayHolder(make_array(raw, dtype.code, ())),
    "numpy._core.numeric._frombuffer": lambda _, raw, dtype, shape, *_rest: ArrayHolder(
        make_array(raw, dtype.code, shape)
    ),
    "torch.storage._load_from_bytes": _storage,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda _, tensor, *_rest: tensor,
    "collections.OrderedDict": _ignore,
    **{f"torch.{name}": code for name, code in _TORCH_TYPES.items()},
}
"""Allow-list of globals in pickles of numbers, with a builder or a plain value that stands for each."""
