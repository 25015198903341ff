"""A store that is open: how it is opened and closed, its ledger, receipts, and what time takes away."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from gallery import erasure, journal, ledger, people, scope
from gallery.restoring import reapply
from gallery.scope import Scope
from gallery.store import Encoder, Store, Transaction
from gallery.voices import VoiceCache
from voxgraph.errors import InvalidOptions
from voxgraph.results import LedgerCheck, LedgerEntry, ReceiptPage

MAX_PAGE = 1_000
"""Entries in a page of a list."""


def check_page(limit: int, after: str | None = None) -> None:
    """Raise `InvalidOptions` if a page of a list is too long, or `after` is nothing that a page has said."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidOptions(f"A page has 1 to {MAX_PAGE} entries.")
    # PostgreSQL refuses to compare with text that has a zero.
    if after is not None and not after.isprintable():
        raise InvalidOptions("after is what the page before has said.")


class OpenStore:
    """The galleries of all tenants as a whole.

    Args:
        state: A folder, which then holds ``gallery.db`` and its keys, or the URL of a PostgreSQL database
            (``postgresql://user:password@host/name``).
        erasures: The list of erasures, a file that only grows and holds no personal data. It belongs outside
            the backup of the store: after a restore it erases again whom the backup brought back. By default
            the variable ``VOXGRAPH_GALLERY_ERASURES`` names it, or it is ``erasures.jsonl`` in the folder;
            beside PostgreSQL there is none without the variable.
        key_file: File of the master key, mode 0600; the variable ``VOXGRAPH_GALLERY_KEY`` goes before it. By
            default it is ``master.key`` in the folder, made with a new store; PostgreSQL needs one.
        encoders: Model and revision of the speaker encoders that the graph has now; None: not known, so that
            no speaker is ``stale``.
        clock: Returns the time, with its zone.

    Raises:
        GalleryUnavailable: The store cannot be opened, or its master key is missing.
    """

    def __init__(
        self,
        state: str | Path,
        *,
        erasures: Path | None = None,
        key_file: Path | None = None,
        encoders: Iterable[Encoder] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = Store(
            state, erasures=erasures, key_file=key_file,
            encoders=None if encoders is None else frozenset(encoders), clock=clock,
        )  # fmt: skip
        self._cache = VoiceCache()
        try:
            reapply(self._store)
        except BaseException:
            self._store.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._store.close()

    def tell_encoders(self, encoders: Iterable[Encoder]) -> None:
        """Take note of the speaker encoders that the graph has now, as the constructor does."""
        self._store.encoders = frozenset(encoders)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _reading(self, tenant: str, gallery: str) -> Iterator[tuple[Transaction, Scope]]:
        with self._store.read() as transaction:
            yield transaction, scope.find(transaction, tenant, gallery)

    @contextmanager
    def _changing(self, tenant: str, gallery: str) -> Iterator[tuple[Transaction, Scope]]:
        with self._store.write() as transaction:
            yield transaction, scope.find(transaction, tenant, gallery, to_change=True)

    def ledger(self, tenant: str, *, after: int = 0, limit: int = 1000) -> tuple[LedgerEntry, ...]:
        """Return lines of the tenant's ledger with a ``seq`` above `after`."""
        with self._store.read() as transaction:
            return tuple(ledger.entries(transaction, tenant, after, limit))

    def receipts(self, tenant: str, *, after: int | None = None, limit: int = 100) -> ReceiptPage:
        """Return a page of the receipts of the tenant's erasures, at most 1,000, the oldest first."""
        check_page(limit)
        with self._store.read() as transaction:
            found = erasure.receipts(transaction, tenant, after or 0, limit + 1)
        return ReceiptPage(tuple(found[:limit]), found[limit - 1].ledger_seq if len(found) > limit else None)

    def verify_ledger(self, tenant: str) -> LedgerCheck:
        """Check the chain and all signatures of a tenant's ledger and receipts."""
        with self._store.read() as transaction:
            lines, receipts = ledger.entries(transaction, tenant), erasure.receipts(transaction, tenant)
        return ledger.verify_ledger(lines, receipts, public_key=self.public_key)

    @property
    def public_key(self) -> str:
        """The Ed25519 key that signs receipts and ledger, base64, for `gallery.ledger.verify_ledger`."""
        return self._store.master.public_key

    def reapply_erasures(self) -> int:
        """Erase again whom a restored backup brought back; return how many erasures had to be repeated."""
        return reapply(self._store)

    def sweep(self) -> int:
        """Erase the references of speakers who have expired, and old decisions; return how many speakers."""
        # Also what a backup that was restored meanwhile has brought back, and what other replicas erased.
        reapply(self._store)
        count = 0
        with self._store.write() as transaction:
            for found in scope.every(transaction, to_change=True):
                rows = people.expired(transaction, found)
                for row in rows:
                    people.expire(transaction, found, row)
                journal.forget_old(transaction, found)
                count += len(rows)
        self._store.forget_deleted()
        return count
