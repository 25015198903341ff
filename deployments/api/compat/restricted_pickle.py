"""Numbers out of pickles, of numpy arrays and torch tensors too, without running what else a pickle may ask.

A pickle is a program of whoever sent it. Here it can build numbers, and nothing of numpy or torch is called,
found or imported to build them.

Not by pickle.Unpickler: in C it reserves what memory a pickle asks for, and where a frame ends within an
argument it reads on elsewhere than pickletools (3.11), so that no look at a pickle beforehand would hold.
"""

import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from voxgraph.errors import UnreadableEmbedding

MAX_OPCODES = 20_000
"""The longest pickle in instructions; 192 scalar tensors in a list take 6345."""
MAX_MADE_BYTES = 1 << 21
"""The most bytes that a pickle may copy."""

Array = npt.NDArray[Any]
_Memory = Callable[[str], bytes]


def unpickled_numbers(data: bytes, memory: _Memory | None = None) -> Any:
    """What a pickle holds: a number, `Numbers`, or a list or tuple of such, which may hold itself.

    Other plain values of the pickle come out as well: the caller looks for what it expects.

    Args:
        data: A pickle of any protocol.
        memory: The bytes of a tensor by its key, in a file of torch.save.

    Raises:
        UnreadableEmbedding: The pickle asks for more than numbers.
        Exception: ValueError, IndexError and others: the pickle is damaged.
    """
    return _Machine(memory).run(data)


def array_of(raw: Any, code: Any, shape: Any) -> Array:
    """An array of `shape` from its bytes; `code` is numpy's, or ``bf16``. Views the bytes where it can.

    The order of axes is not asked for: where all but one have length one, each order is the same.

    Raises:
        UnreadableEmbedding: The type is not one of whole or floating-point numbers.
        ValueError, TypeError: Bytes and shape do not agree.
    """
    if code == "bf16":
        # The upper half of a float32.
        return (array_of(raw, "<u2", shape).astype("<u4") << 16).view("<f4")
    # numpy takes no empty buffer.
    numbers = np.frombuffer(raw, _checked_type(code)) if len(raw) else np.empty(0)
    return numbers.reshape(shape)


_NUMBER_TYPE = re.compile(r"[<>=|]?([iu][1248]|f[248])")


def _checked_type(code: Any) -> str:
    if not isinstance(code, str) or not _NUMBER_TYPE.fullmatch(code):
        raise UnreadableEmbedding("The embedding's array holds something else than numbers.")
    return code


class Numbers:
    """All that a pickle gets where it asks for an array or a tensor."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def set_state(self, state: Any) -> None:
        """The state of a numpy array: version, shape, number type, whether columns come first, bytes."""
        _version, shape, dtype, _columns_first, raw = state
        self.array = array_of(raw, dtype.code, shape)


class _Type:
    """All that a pickle gets where it asks for a number type of numpy."""

    __slots__ = ("code",)

    def __init__(self, code: Any) -> None:
        self.code = _checked_type(code)

    def set_state(self, state: Any) -> None:
        """Version, byte order, then what only types other than numbers have."""
        self.code = _checked_type(state[1] + self.code[-2:])


class _Machine:
    """Runs the instructions of a pickle that numbers need, on a stack of values that none of them can break.

    There are no dicts and sets: the hash of tuples in tuples can take for ever, or the whole of C's stack.
    """

    def __init__(self, memory: _Memory | None) -> None:
        self.memory = memory
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.left_bytes = MAX_MADE_BYTES

    def run(self, data: bytes) -> Any:
        """The value on top when the program stops. genops refuses lengths that go beyond its end."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count >= MAX_OPCODES:
                raise UnreadableEmbedding(f"The pickle has more than {MAX_OPCODES} instructions.")
            if opcode.name not in _STEPS:
                raise UnreadableEmbedding(f"The pickle uses {opcode.name}; numbers do not need it.")
            _STEPS[opcode.name](self, argument)
        return self.stack.pop()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, count: int) -> tuple[Any, ...]:
        """The last values, the oldest first."""
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        return values

    def pop_marked(self) -> tuple[Any, ...]:
        """All values behind the last mark."""
        start = self.marks.pop()
        values = tuple(self.stack[start:])
        del self.stack[start:]
        return values

    def extend(self, values: tuple[Any, ...]) -> None:
        """Lengthen the list on top."""
        if not isinstance(self.stack[-1], list):
            raise UnreadableEmbedding("The pickle appends to what is no list.")
        self.stack[-1].extend(values)

    def find(self, module: Any, name: Any) -> None:
        """Push what stands here for a name; never the thing named."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnreadableEmbedding("The pickle asks for what has no name.")
        full_name = f"{module}.{name}".replace("numpy.core.", "numpy._core.")
        if full_name not in _GLOBALS:
            raise UnreadableEmbedding(f"The pickle asks for {full_name[:80]!r}; numbers do not need it.")
        self.push(_GLOBALS[full_name])

    def call(self, builder: Any, arguments: Any) -> None:
        """Push what a builder makes. No other value on the stack can be called."""
        if not callable(builder) or not isinstance(arguments, tuple):
            raise UnreadableEmbedding("The pickle calls what cannot be called.")
        self.push(builder(self, *arguments))

    def set_state(self, state: Any) -> None:
        """Fill the array or the number type on top."""
        if not isinstance(self.stack[-1], Numbers | _Type):
            raise UnreadableEmbedding("The pickle changes what cannot be changed.")
        self.stack[-1].set_state(state)

    def load_memory(self, identity: Any) -> None:
        """Push the memory of a tensor that lies outside of the pickle."""
        _kind, code, key, _device, count = identity
        if self.memory is None or not isinstance(key, str):
            raise UnreadableEmbedding("The pickle asks for objects outside of it.")
        self.push(Numbers(array_of(self.paid(self.memory(key)), code, (count,))))

    def paid(self, raw: bytes) -> bytes:
        """Bytes that are a copy, set against the limit: one long text can be encoded again and again."""
        self.left_bytes -= len(raw)
        if self.left_bytes < 0:
            raise UnreadableEmbedding(f"The pickle unpacks to more than {MAX_MADE_BYTES} bytes.")
        return raw


def _nothing(_machine: _Machine, *_: Any) -> None:
    """Stands for what numbers do without: frames, the hooks of a tensor."""


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(["PROTO", "FRAME", "STOP"], _nothing),
    **dict.fromkeys(["INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"], _Machine.push),
    **dict.fromkeys(["FLOAT", "BINFLOAT", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"], _Machine.push),
    **dict.fromkeys(["SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"], _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(list(machine.pop_marked())),
    "APPEND": lambda machine, _: machine.extend(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_marked()),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(machine.pop_marked()),
    "TUPLE1": lambda machine, _: machine.push(machine.pop(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.pop(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.pop(3)),
    **dict.fromkeys(
        ["GET", "BINGET", "LONG_BINGET"], lambda machine, index: machine.push(machine.memo[index])
    ),
    **dict.fromkeys(
        ["PUT", "BINPUT", "LONG_BINPUT"],
        lambda machine, index: machine.memo.update({index: machine.stack[-1]}),
    ),
    "MEMOIZE": lambda machine, _: machine.memo.update({len(machine.memo): machine.stack[-1]}),
    "GLOBAL": lambda machine, names: machine.find(*names.split(" ")),
    "STACK_GLOBAL": lambda machine, _: machine.find(*machine.pop(2)),
    "REDUCE": lambda machine, _: machine.call(*machine.pop(2)),
    "BUILD": lambda machine, _: machine.set_state(*machine.pop(1)),
    "BINPERSID": lambda machine, _: machine.load_memory(*machine.pop(1)),
}
"""What each instruction does with its argument (pickletools tells what it means)."""


def _bytes(machine: _Machine, text: str, _encoding: str) -> bytes:
    """Bytes, which protocols 0 to 2 write as text."""
    return machine.paid(text.encode("latin1"))


def _memory(machine: _Machine, blob: bytes) -> Numbers:
    """A tensor's memory within a pickle: itself a chain of pickles, matched and never run.

    They are always written by the same lines (torch/serialization.py, _legacy_save, 2.12.1).
    """
    found = _LEGACY_STORAGE.fullmatch(machine.paid(blob))
    if found is None:
        raise UnreadableEmbedding("The tensor's memory is not as torch writes it.")
    count = int.from_bytes(found["count"], "little")
    return Numbers(array_of(found["raw"], _TORCH_TYPES.get(found["type"].decode()), (count,)))


def _tensor(_machine: _Machine, memory: Numbers, offset: int, size: Any, stride: Any, *_: Any) -> Numbers:
    """A tensor as a view of its memory; offset, size and stride in numbers."""
    flat = memory.array
    if not all(type(number) is int and 0 <= number < MAX_MADE_BYTES for number in (offset, *size, *stride)):
        raise UnreadableEmbedding("The tensor has a shape that is none.")
    # numpy looks as well, in arithmetic that can overflow.
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if last >= flat.size and 0 not in size:
        raise UnreadableEmbedding("The tensor reaches beyond its memory.")
    strides = tuple(step * flat.itemsize for step in stride)
    return Numbers(np.ndarray(tuple(size), flat.dtype, flat, offset * flat.itemsize, strides))


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
    # Magic number, version, byte order and sizes of the machine: as torch writes them on all it runs on.
    rb"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.\x80\x02M\xe9\x03\.\x80\x02\}q\x00\("
    rb"X\x10\0\0\0protocol_versionq\x01M\xe9\x03X\r\0\0\0little_endianq\x02\x88X\n\0\0\0type_sizesq\x03\}q\x04\("
    rb"X\x05\0\0\0shortq\x05K\x02X\x03\0\0\0intq\x06K\x04X\x04\0\0\0longq\x07K\x04uu\."
    # The persistent id: ("storage", type, key, device, count, None).
    rb"\x80\x02\(X\x07\0\0\0storageq\x00ctorch(?:\.cuda)?\n(?P<type>\w{1,20})\nq\x01X.\0\0\0(?P<key>\d{1,20})q\x02"
    rb"X.\0\0\0[a-z0-9:]{1,20}q\x03(?:K.|M..|J....)Ntq\x04Q\."
    # The list of keys, and behind it the memory of each, with its count of numbers.
    rb"\x80\x02\]q\x00X.\0\0\0(?P=key)q\x01a\.(?P<count>.{8})(?P<raw>.*)",
    re.DOTALL,
)
_GLOBALS: dict[str, Any] = {
    "_codecs.encode": _bytes,
    "numpy.ndarray": None,
    "numpy.dtype": lambda _, code, *_rest: _Type(code),
    "numpy._core.multiarray._reconstruct": lambda *_: Numbers(np.empty(0)),
    "numpy._core.multiarray.scalar": lambda _, dtype, raw: Numbers(array_of(raw, dtype.code, ())),
    "numpy._core.numeric._frombuffer": lambda _, raw, dtype, shape, *_rest: Numbers(
        array_of(raw, dtype.code, shape)
    ),
    "torch.storage._load_from_bytes": _memory,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda _, tensor, *_rest: tensor,
    "collections.OrderedDict": _nothing,
    **{f"torch.{name}": code for name, code in _TORCH_TYPES.items()},
}
"""What stands for the names in pickles of numbers: builders, and plain values."""
