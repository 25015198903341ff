"""Find a checkpoint and read it as data: tensors and labels, never code.

Three sources: the hub at a pinned revision, a folder in the hub's layout, and the demo checkpoints.
After this comes a model's pipeline, which builds its network from `config.checkpoints` and fills it.
"""

import ast
import hashlib
import itertools
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import init
from torch.overrides import TorchFunctionMode

from config.checkpoints import CHECKPOINTS, Architecture, Checkpoint, CheckpointFile, CheckpointPart
from config.settings import DEMO, HUB, CheckpointSource, Size
from pipelines.engines.select import TORCH_FLOAT32, EngineChoice
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import ModelInfo

LOCAL = "local"
DEMO_FOLDER = Path(__file__).parents[1] / "checkpoints" / "demo"
"""The trained demo checkpoints, a folder per model."""
LABEL_SEPARATOR = " => "
LABEL_FOOTER = "================"
"""The text format of SpeechBrain's CategoricalEncoder (speechbrain/dataio/encoder.py, 1.1.2)."""

UNREADABLE = (
    SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error, OSError, EOFError, MemoryError,
    RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError,
)  # fmt: skip
"""What torch, safetensors and the literal parser raise on files that are damaged or of another kind."""


@dataclass(frozen=True, slots=True)
class LocatedCheckpoint:
    """A checkpoint whose files are on this machine."""

    row: Checkpoint
    folder: Path
    architecture: Architecture
    source: str
    """``hub``, ``demo`` or ``local``."""
    revision: str
    """The commit of the hub, or ``demo-`` or ``local-`` and a digest of the folder's files."""
    parts: Mapping[str, Path] = field(default_factory=dict)
    """Where the folders of the layout lie that repositories of their own fill."""

    def file(self, name: str) -> Path:
        """The path of a file of the layout.

        Raises:
            CheckpointError: It is not there.
        """
        part, _, rest = name.partition("/")
        path = self.parts[part] / rest if part in self.parts else self.folder / name
        if not path.is_file():
            raise CheckpointError(f"{self.row.hub_id}: {name} is missing in {path.parent}.")
        return path

    @property
    def identity(self) -> str:
        """Says which checkpoint this is, down to its weights."""
        return f"{self.row.hub_id} {self.revision}"

    @property
    def size(self) -> Size:
        """Which of the row's architectures the tensors have."""
        return next(size for size, known in self.row.architectures.items() if known == self.architecture)

    def info(
        self,
        device: str,
        parameters: int,
        labels: Iterable[str] = (),
        choice: EngineChoice = TORCH_FLOAT32,
    ) -> ModelInfo:
        """What a replica says it has loaded."""
        return ModelInfo(
            key=self.row.key,
            hub_id=self.row.hub_id,
            revision=self.revision,
            source=self.source,
            device=device,
            parameters=parameters,
            labels=tuple(labels),
            engine=choice.engine,
            precision=choice.precision,
            engine_reason=choice.reason,
        )


def locate(model: ModelKey, source: CheckpointSource) -> LocatedCheckpoint:
    """Bring a checkpoint onto this machine and check that all its files are there.

    Args:
        model: The row of the table.
        source: ``hub``, ``demo`` or a folder in the hub's layout.

    Raises:
        CheckpointError: It cannot be downloaded, a file is missing, or a digest differs.
    """
    row = CHECKPOINTS[model]
    architecture = row.architectures[source.architecture]
    if source.source == HUB:
        parts = {name: _download(part) for name, part in row.parts.items()}
        return LocatedCheckpoint(row, _download(row), architecture, HUB, row.revision, parts)
    kind = DEMO if source.source == DEMO else LOCAL
    folder = DEMO_FOLDER / model if kind == DEMO else Path(source.source).expanduser()
    if not folder.is_dir():
        raise CheckpointError(f"{row.hub_id}: there is no folder {folder}.")
    return LocatedCheckpoint(row, folder, architecture, kind, f"{kind}-{_digest_of_layout(row, folder)}")


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict on the CPU: safetensors, or a pickle that may hold tensors and nothing else.

    Raises:
        CheckpointError: The file is no such thing.
    """
    loaded = load_data(path)
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path.name} is not a mapping of names to tensors.")
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()):
        raise CheckpointError(f"{path.name} holds more than names and tensors.")
    return dict(loaded)


def load_data(path: Path, classes: Sequence[type] = ()) -> Any:
    """Read a file of tensors and plain containers on the CPU, without running what it may hold.

    Args:
        path: Safetensors, or what torch.save wrote.
        classes: Instances of these may be in it too.

    Raises:
        CheckpointError: The file is damaged or holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(list(classes)):
            # Mapped, so that a gigabyte is not held twice while it is copied; not so the format before zip.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UNREADABLE as error:
        raise CheckpointError(
            f"{path.name} is not a file of tensors and nothing else: {_one_line(error)}"
        ) from error


class Unfilled(TorchFunctionMode):
    """Networks made in this context have whatever memory holds in place of random weights.

    For those that `load_state` fills, tensor by tensor: drawing 315 million numbers takes 1.5 s.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Leave a tensor as it is where numbers were to be drawn."""
        kwargs = kwargs or {}
        if func in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


_DRAWS = (Tensor.uniform_, Tensor.normal_, init.uniform_, init.normal_, init.kaiming_uniform_)
"""What layers draw their weights with: those of `torch.nn.init` that a mode sees, and what the rest call."""


def load_state(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Fill a network; every key and shape must fit.

    The network takes the tensors themselves where they are of its types. Those of a mapped file stay pages of
    it, which all replicas of a machine share; nobody may write into the file while they run.

    Args:
        module: The network, built from the typed architecture.
        tensors: Its state dict.
        what: Named in the error, e.g. ``speechbrain/... embedding_model.ckpt``.

    Raises:
        CheckpointError: Keys are missing or unexpected, or shapes differ: another architecture.
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
        raise CheckpointError(f"{what} is of another architecture: {'; '.join(problems[:3])}{more}.")
    taken = {key: tensor.to(expected[key].dtype) for key, tensor in tensors.items()}
    module.load_state_dict(taken, assign=True)


def load_labels(path: Path, expected: int) -> tuple[str, ...]:
    """Read the labels of a SpeechBrain CategoricalEncoder, in the order of their indices.

    Args:
        path: Lines of ``'label' => index`` up to a footer; only literals are read.
        expected: How many labels the classifier has.

    Raises:
        CheckpointError: A line is not of this form, a label comes twice, or the indices are not
            0 .. expected - 1, each once.
    """
    try:
        lines: Iterable[str] = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path.name} is not a label file: {_one_line(error)}") from error
    lines = itertools.takewhile(lambda line: line != LABEL_FOOTER, lines)
    labels = [_label(line, path.name) for line in lines]
    if sorted(index for index, _ in labels) != list(range(expected)):
        raise CheckpointError(f"{path.name} has {len(labels)} labels; the model has {expected}, 0 and up.")
    if len({label for _, label in labels}) != expected:
        raise CheckpointError(f"{path.name} names two classes alike.")
    return tuple(label for _, label in sorted(labels))


def _label(line: str, file: str) -> tuple[int, str]:
    """Index and label of one line."""
    literal, _, index = line.partition(LABEL_SEPARATOR)
    problem = f"{file}: {line[:80]!r} is no line of a label file."
    try:
        label, number = ast.literal_eval(literal), int(index)
    except (SyntaxError, *UNREADABLE) as error:
        raise CheckpointError(problem) from error
    if not isinstance(label, str):
        raise CheckpointError(problem)
    return number, label


def _digest_of_layout(row: Checkpoint, folder: Path) -> str:
    """Twelve hex digits that any change of any file changes.

    Raises:
        CheckpointError: A file of the layout is missing.
    """
    names = [file.name for file in row.files]
    names += [f"{part}/{file.name}" for part, repository in row.parts.items() for file in repository.files]
    whole = hashlib.sha256()
    for name in names:
        if not (folder / name).is_file():
            raise CheckpointError(f"{row.hub_id}: {name} is missing in {folder}.")
        whole.update(_digest(folder / name).encode())
    return whole.hexdigest()[:12]


def _digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _download(repository: Checkpoint | CheckpointPart) -> Path:
    """The snapshot of a repository at its revision, downloaded where it is not yet in the hub's cache."""
    # Only here: a replica of a local or demo checkpoint starts a second sooner without it.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

    # httpx's or httpx2's, by the version of the hub's library.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # isort: skip

    name, revision = repository.hub_id, repository.revision
    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=[file.name for file in repository.files]
            )
        )
    except GatedRepoError as error:
        raise CheckpointError(
            f"{name} is gated: accept its terms on the hub and set HF_TOKEN in the environment of every node."
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{name} is not in the cache and the hub cannot be reached; name a local folder or use the demo."
        ) from error
    except (HTTPError, OSError) as error:
        raise CheckpointError(f"{name} at {revision} cannot be downloaded: {_one_line(error)}") from error
    for file in repository.files:
        check_digest(folder / file.name, file)
    return folder


def _one_line(error: BaseException) -> str:
    """What went wrong, in a sentence that fits into another."""
    return " ".join(str(error).split()) or type(error).__name__


def check_digest(path: Path, file: CheckpointFile) -> None:
    """Check that a downloaded file is there and is the one of the table.

    Raises:
        CheckpointError: It is missing, or its SHA-256 is another one.
    """
    if not path.is_file():
        raise CheckpointError(f"{file.name} is missing in {path.parent}.")
    if file.sha256 is None:
        return
    if _digest(path) != file.sha256:
        raise CheckpointError(f"{path} has SHA-256 {_digest(path)}, not {file.sha256}.")
