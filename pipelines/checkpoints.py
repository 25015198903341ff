"""Locate a checkpoint and read it as data: tensors and labels, never code.

A checkpoint comes from the hub at a pinned revision, from a folder, or from the starter checkpoints.
Pipelines build their network from the row's architecture and load the tensors.
"""

import ast
import hashlib
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import init
from torch.overrides import TorchFunctionMode

from config.checkpoint_types import Architecture, Checkpoint, CheckpointFile, CheckpointPart
from config.checkpoints import row_for
from config.settings import HUB, STARTER, CheckpointSource, Size
from pipelines import checkpoint_lock
from pipelines.engines.select import TORCH_FLOAT32, EngineChoice
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import ModelInfo

LOCAL = "local"
STARTER_FOLDER = checkpoint_lock.STARTERS
"""The folder of the starter checkpoints; models that share one share its folder."""
LABEL_SEPARATOR = " => "
LABEL_FOOTER = "================"
"""The text format of SpeechBrain's CategoricalEncoder (speechbrain/dataio/encoder.py, 1.1.2)."""

READ_ERRORS = (
    SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error, OSError, EOFError, MemoryError,
    RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError,
)  # fmt: skip
"""Errors that torch, safetensors and the literal parser raise on damaged files and files of another kind."""


@dataclass(frozen=True, slots=True)
class LocatedCheckpoint:
    """A checkpoint with its files on this machine."""

    row: Checkpoint
    folder: Path
    architecture: Architecture
    source: str
    """``hub``, ``starter`` or ``local``."""
    revision: str
    """The hub's commit, or ``starter-`` or ``local-`` and a digest of the folder's files."""
    parts: Mapping[str, Path] = field(default_factory=dict)
    """Paths of the layout's folders that come from separate repositories, by folder name."""

    def file(self, name: str) -> Path:
        """Return the path of a file of the layout.

        Raises:
            CheckpointError: The file is missing.
        """
        part, _, rest = name.partition("/")
        path = self.parts[part] / rest if part in self.parts else self.folder / name
        if not path.is_file():
            raise CheckpointError(f"{self.row.hub_id}: {name} is missing in {path.parent}.")
        return path

    @property
    def identity(self) -> str:
        """Hub id and revision, which identify the weights."""
        return f"{self.row.hub_id} {self.revision}"

    @property
    def size(self) -> Size:
        """The name of the architecture that the tensors have."""
        return next(size for size, value in self.row.architectures.items() if value == self.architecture)

    def info(
        self, device: str, parameters: int, labels: Iterable[str] = (), choice: EngineChoice = TORCH_FLOAT32
    ) -> ModelInfo:
        """Return the description of the loaded model that a replica reports."""
        return ModelInfo(
            key=self.row.key, hub_id=self.row.hub_id, revision=self.revision, source=self.source,
            device=device, parameters=parameters, labels=tuple(labels),
            engine=choice.engine, precision=choice.precision, engine_reason=choice.reason,
        )  # fmt: skip


def locate(model: ModelKey, source: CheckpointSource, *, may_download: bool = True) -> LocatedCheckpoint:
    """Find a model's checkpoint, downloading it if necessary and allowed, and check that it is complete.

    Raises:
        CheckpointError: The model has no such checkpoint, the download fails, a file is missing, or a digest
            differs.
    """
    row = row_for(model, source)
    architecture = row.architectures[source.architecture]
    if source.source == HUB:
        if source.architecture is Size.STARTER:
            raise CheckpointError(f"{row.hub_id}: its starter layout is not on the hub.")
        parts = {name: _download(part, may_download) for name, part in row.parts.items()}
        folder = _download(row, may_download)
        return LocatedCheckpoint(row, folder, architecture, HUB, row.revision, parts)
    kind = STARTER if source.source == STARTER else LOCAL
    starter = STARTER_FOLDER / (row.starter_folder or model)
    folder = starter if kind == STARTER else Path(source.source).expanduser()
    if not folder.is_dir():
        raise CheckpointError(f"{row.hub_id}: there is no folder {folder}.")
    parts = _starter_parts(row) if kind == STARTER else {}
    found = LocatedCheckpoint(row, folder, architecture, kind, "", parts)
    for name in _files_of_layout(row):
        path = found.file(name)
        checkpoint_lock.check_rights(path.parent, [path.name])
        if kind == STARTER:
            checkpoint_lock.check_starter(path)
    return replace(found, revision=f"{kind}-{_digest_of_layout(found)}")


def _starter_parts(row: Checkpoint) -> dict[str, Path]:
    """Return the folders of other starter checkpoints that fill parts of this one's layout."""
    return {
        name: STARTER_FOLDER / part.starter_folder for name, part in row.parts.items() if part.starter_folder
    }


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors by name on the CPU, from safetensors or from a pickle that may contain only tensors.

    Raises:
        CheckpointError: The file is damaged or contains anything else.
    """
    loaded = load_data(path)
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path.name} is not a mapping of names to tensors.")
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()):
        raise CheckpointError(f"{path.name} contains more than names and tensors.")
    return dict(loaded)


def load_data(path: Path, classes: Sequence[type] = ()) -> Any:
    """Read a file of safetensors or torch.save on the CPU, without running any code in it.

    Raises:
        CheckpointError: The file is damaged, or contains more than tensors, plain containers and `classes`.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(list(classes)):
            # Memory-mapping avoids a second copy of a gigabyte; torch's format before zip cannot be mapped.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except READ_ERRORS as error:
        raise CheckpointError(f"{path.name} does not contain only tensors: {_one_line(error)}") from error


class Unfilled(TorchFunctionMode):
    """Leave the weights of networks built in this context uninitialised.

    `load_state` overwrites them all, and drawing 315 million random numbers takes 1.5 s.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Skip functions that fill a tensor with random numbers."""
        kwargs = kwargs or {}
        if func in _RANDOM_INITIALISERS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


_RANDOM_INITIALISERS = (Tensor.uniform_, Tensor.normal_, init.uniform_, init.normal_, init.kaiming_uniform_)
"""The functions of `torch.nn.init` that a torch function mode intercepts, and those that the others call."""


def load_state(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Load a state dict into a network; all keys and shapes must match.

    Tensors that already have the network's dtype are assigned without a copy. If their file is memory-mapped,
    all replicas on the machine share its pages, so the file must not be modified while they run.

    Raises:
        CheckpointError: Keys are missing or unexpected, or shapes differ; the message begins with `name`.
    """
    expected = module.state_dict()
    problems = [f"missing {key}" for key in sorted(expected.keys() - tensors.keys())]
    problems += [f"unexpected {key}" for key in sorted(tensors.keys() - expected.keys())]
    problems += [
        f"{key} is {tuple(tensors[key].shape)}, not {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & tensors.keys())
        if tensors[key].shape != expected[key].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(f"{name} does not fit the architecture: {'; '.join(problems[:3])}{more}.")
    converted = {key: tensor.to(expected[key].dtype) for key, tensor in tensors.items()}
    module.load_state_dict(converted, assign=True)


def load_labels(path: Path, expected: int) -> tuple[str, ...]:
    """Read the labels of a SpeechBrain CategoricalEncoder, in the order of their indices.

    The file has lines of ``'label' => index`` up to a footer; only literals are evaluated.

    Raises:
        CheckpointError: A line has another form, a label is repeated, or the indices are not
            0 .. expected - 1, each once.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path.name} is not a label file: {_one_line(error)}") from error
    labels = [_label(line, path.name) for line in takewhile(lambda line: line != LABEL_FOOTER, lines)]
    if sorted(index for index, _ in labels) != list(range(expected)):
        raise CheckpointError(f"{path.name} has {len(labels)} labels; expected indices 0 to {expected - 1}.")
    if len({label for _, label in labels}) != expected:
        raise CheckpointError(f"{path.name} repeats a label.")
    return tuple(label for _, label in sorted(labels))


def _label(line: str, file: str) -> tuple[int, str]:
    """Return the index and the label of one line."""
    literal, _, index = line.partition(LABEL_SEPARATOR)
    problem = f"{file}: {line[:80]!r} is not a valid line of a label file."
    try:
        label, number = ast.literal_eval(literal), int(index)
    except (SyntaxError, *READ_ERRORS) as error:
        raise CheckpointError(problem) from error
    if not isinstance(label, str):
        raise CheckpointError(problem)
    return number, label


def _digest_of_layout(checkpoint: LocatedCheckpoint) -> str:
    """Return twelve hex digits of a SHA-256 over all files of the layout that are part of the revision."""
    digest = hashlib.sha256()
    for name, file in _files_of_layout(checkpoint.row).items():
        path = checkpoint.file(name)
        if file.in_revision:
            digest.update(checkpoint_lock.digest_of(path).encode())
    return digest.hexdigest()[:12]


def _files_of_layout(row: Checkpoint) -> dict[str, CheckpointFile]:
    """Return all files of a layout, those of its parts included, by their names in it."""
    files = {file.name: file for file in row.files}
    return files | {f"{part}/{file.name}": file for part, other in row.parts.items() for file in other.files}


def _download(repository: Checkpoint | CheckpointPart, may_download: bool) -> Path:
    """Return the snapshot of a repository at its revision, downloaded if it is not in the hub's cache."""
    # Imported here because replicas with another checkpoint start a second sooner without it.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

    # HTTPError is that of httpx or httpx2, depending on the version of huggingface_hub.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # isort: skip

    name, revision = repository.hub_id, repository.revision
    files = [file.name for file in repository.files]
    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=files, local_files_only=not may_download
            )
        )
    except GatedRepoError as error:
        raise CheckpointError(
            f"{name} is gated: accept its terms on the hub and set HF_TOKEN in the environment of every node."
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{name} is not in the cache and the hub cannot be reached; set a folder or use the starter."
        ) from error
    except (HTTPError, OSError) as error:
        raise CheckpointError(f"{name} at {revision} cannot be downloaded: {_one_line(error)}") from error
    checkpoint_lock.check_rights(folder, files)
    checkpoint_lock.check_download(repository, folder)
    return folder


def _one_line(error: BaseException) -> str:
    """Return the error's message on one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def check_digest(path: Path, file: CheckpointFile) -> None:
    """Check that a downloaded file exists and has the digest in the table.

    Raises:
        CheckpointError: The file is missing, or its SHA-256 differs.
    """
    if not path.is_file():
        raise CheckpointError(f"{file.name} is missing in {path.parent}.")
    if file.sha256 is not None and (actual := checkpoint_lock.digest_of(path)) != file.sha256:
        raise CheckpointError(f"{path} has SHA-256 {actual}, not {file.sha256}.")
