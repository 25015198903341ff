"""The galleries of voices in this process, asked by name. No Ray: `deployments.local`, and tests."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from voxgraph.errors import GalleryUnavailable
from voxgraph.results import Observation

if TYPE_CHECKING:
    from gallery.galleries import Galleries

METHODS = frozenset(
    {
        "calibrate", "create", "delete", "duplicates", "enrol", "enrolled", "erase", "export", "identify",
        "ledger", "list", "merge", "opt_in", "opt_out", "patch_speaker", "public_key",
        "put_speaker", "receipts", "references", "remove_reference", "reports",
        "review", "reviews", "show", "speaker", "speakers", "update", "verify", "verify_ledger",
        "withdraw_consent",
    }
)  # fmt: skip
"""Methods of `gallery.galleries.Galleries` that may be called from elsewhere."""


class LocalGallery:
    """Implements `deployments.galleries.GalleryStore` with galleries in this process."""

    def __init__(self, galleries: "Galleries") -> None:
        self._galleries = galleries

    @classmethod
    def open(cls, state: str) -> "LocalGallery":
        """Open the store that `config.settings.GraphSettings.state` names."""
        # Imported here: only the process that keeps the galleries needs a database and its libraries.
        from gallery.galleries import Galleries

        return cls(Galleries(state))

    def sweep(self) -> int:
        """Erase who has expired; return how many speakers."""
        return self._galleries.sweep()

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method in a thread; raises what it raises."""
        if method not in METHODS:
            raise GalleryUnavailable(f"Galleries have no method {method}.")
        if method in ("verify", "identify"):
            self._take_note(arguments[-1] if method == "identify" else arguments[-1:])
        found = getattr(self._galleries, method)
        return await asyncio.to_thread(found, *arguments, **options) if callable(found) else found

    def _take_note(self, asked: Iterable[Observation]) -> None:
        """Tell the galleries which spaces the graph has: a recording is embedded in all of them."""
        if spaces := {sample.space for each in asked for sample in each.samples}:
            self._galleries.tell_spaces(spaces)

    def close(self) -> None:
        """Close the store."""
        self._galleries.close()
