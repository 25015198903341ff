"""The list of erasures: a file apart from the store, which says what a restored backup must not bring back.

Each line is a JSON object with opaque ids, keyed hashes, the tenant and the actor. A line is on the disk
before the store forgets, so that whatever happens in between, the erasure is completed when the store is
opened again.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from voxgraph.errors import GalleryUnavailable

Kind = Literal["speaker", "gallery", "opt_out", "opt_in", "withdrawal", "expiry", "reference"]


@dataclass(frozen=True, slots=True)
class Targets:
    """What one erasure is about."""

    erasure_id: str
    kind: Kind
    tenant: str
    gallery_id: str
    subject: str
    """Keyed hash of tenant, gallery and external id; empty for a whole gallery."""
    requested_at: datetime
    actor: str
    speaker_ids: tuple[str, ...] = ()
    """Speakers who are removed, with those that were merged into them."""
    reference_ids: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return {**asdict(self), "requested_at": self.requested_at.isoformat()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return what `to_json` gave."""
        lists = {name: tuple(fields[name]) for name in ("speaker_ids", "reference_ids", "key_ids")}
        return cls(**{**fields, **lists, "requested_at": datetime.fromisoformat(fields["requested_at"])})


class ErasureList:
    """The file. Several processes may append to it.

    Args:
        path: Made with mode 0600 if it is not there; its folder must be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, *targets: Targets) -> None:
        """Write lines and wait until they are on the disk.

        Raises:
            GalleryUnavailable: They cannot be written.
        """
        lines = "".join(json.dumps(each.to_json(), sort_keys=True) + "\n" for each in targets).encode()
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                size = os.fstat(file).st_size
                # A line that a crash cut off must not swallow the next one.
                is_torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
                os.write(file, b"\n" * is_torn + lines)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise GalleryUnavailable(f"The list of erasures cannot be written: {error.strerror}.") from None

    def __iter__(self) -> Iterator[Targets]:
        """Read all whole lines, the oldest first."""
        if not self._path.exists():
            return
        for line in self._path.read_text().splitlines():
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            yield Targets.from_json(fields)
