"""The ledger: who did what to whose voices, in a chain that shows every change of it.

Each tenant has a ledger. Each line contains the hash of the line before it and is signed; `verify_ledger`
needs only the lines, the receipts and the public key. Lines hold opaque ids, never a name, so that an erasure
leaves them whole.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from gallery.keys import MasterKey, canonical, is_signed
from gallery.store import Transaction, insert_missing
from gallery.tables import chains, ledger
from voxgraph.results import ErasureReceipt, LedgerCheck, LedgerEntry

GENESIS = "0" * 64
"""What stands for the hash of the line before the first one."""
ROTATION, ROTATED = "store.rotate_key", "store.rotated_key"
"""Actions of the last line that a key signs, which names the next key, and of the first line of that one."""


def append(
    transaction: Transaction,
    tenant: str,
    actor: str,
    action: str,
    about: str,
    details: Mapping[str, Any] | None = None,
) -> LedgerEntry:
    """Write one line.

    Args:
        action: For instance ``speaker.erase``.
        about: Opaque id of what it concerns.
        details: JSON without personal data.
    """
    pen = Pen(transaction.connection, transaction.store.master, transaction.now)
    return write(pen, tenant, actor, action, about, details)


@dataclass(frozen=True, slots=True)
class Pen:
    """What a line is written with: in which transaction, signed by which key, at which time."""

    connection: sa.Connection
    master: MasterKey
    now: datetime


def write(
    pen: Pen,
    tenant: str,
    actor: str,
    action: str,
    about: str,
    details: Mapping[str, Any] | None = None,
) -> LedgerEntry:
    """Write one line; see `append`."""
    connection = pen.connection
    seq, prev_hash = _head(connection, tenant)
    fields: dict[str, Any] = {
        "seq": seq + 1, "at": pen.now.astimezone(UTC), "actor": actor, "action": action,
        "object": about, "details": dict(details or {}), "prev_hash": prev_hash,
    }  # fmt: skip
    digest = _hash(fields)
    entry = LedgerEntry(**fields, hash=digest, signature=pen.master.sign(digest.encode()))
    connection.execute(ledger.insert().values(tenant_id=tenant, **asdict(entry)))
    connection.execute(
        chains.update().where(chains.c.tenant_id == tenant).values(seq=entry.seq, hash=entry.hash)
    )
    return entry


def entries(
    transaction: Transaction, tenant: str, after: int = 0, limit: int | None = None
) -> list[LedgerEntry]:
    """Return lines with a ``seq`` above `after`, the oldest first."""
    columns = [column for column in ledger.c if column.name != "tenant_id"]
    rows = transaction.execute(
        sa.select(*columns).where(ledger.c.tenant_id == tenant, ledger.c.seq > after)
        .order_by(ledger.c.seq).limit(limit)
    )  # fmt: skip
    return [LedgerEntry(**row._mapping) for row in rows]


def signed(transaction: Transaction, receipt: dict[str, Any]) -> ErasureReceipt:
    """Return a receipt with its signature.

    Args:
        receipt: The fields of `ErasureReceipt` without the signature.
    """
    return ErasureReceipt(**receipt, signature=transaction.store.master.sign(canonical(_plain(receipt))))


def verify_ledger(
    entries: Iterable[LedgerEntry],
    receipts: Sequence[ErasureReceipt] = (),
    *,
    public_key: str,
    head: tuple[int, str] | None = None,
) -> LedgerCheck:
    """Check that nothing was changed in, removed from or added to a whole ledger and its receipts.

    Args:
        entries: All lines of a tenant, in any order.
        receipts: Receipts of erasures, those that were handed out or those of the store.
        public_key: `Galleries.public_key`, base64, that of now or that of the beginning: where the master key
            was changed, each key vouches for the next, and the last one for all lines before it.
        head: ``seq`` and hash of a line that the caller remembers: a ledger that ends before it, or has
            another line in its place, was cut or written anew.
    """
    problems = []
    by_seq: dict[int, LedgerEntry] = {}
    prev_hash = GENESIS
    ordered = sorted(entries, key=lambda entry: entry.seq)
    keys = _keys(ordered, public_key)
    for seq, (entry, key) in enumerate(zip(ordered, keys, strict=True), start=1):
        problems += [f"Line {entry.seq}: {problem}" for problem in _problems(entry, seq, prev_hash, key)]
        by_seq[entry.seq] = entry
        prev_hash = entry.hash
    if ordered and ordered[-1].action == ROTATION:
        problems.append(f"Line {ordered[-1].seq}: the key that it names has signed nothing.")
    key_of = {entry.seq: key for entry, key in zip(ordered, keys, strict=True)}
    for receipt in receipts:
        line = by_seq.get(receipt.ledger_seq)
        if not _is_genuine(receipt, key_of.get(receipt.ledger_seq, public_key)):
            problems.append(f"Receipt {receipt.erasure_id}: the signature is not that of its content.")
        elif line is None or line.hash != receipt.ledger_hash:
            problems.append(f"Receipt {receipt.erasure_id}: line {receipt.ledger_seq} is another one.")
    if head is not None and (head[0] not in by_seq or by_seq[head[0]].hash != head[1]):
        problems.append(f"Line {head[0]} is missing or is not the one that is remembered.")
    return LedgerCheck(len(ordered), len(receipts), tuple(problems))


def _keys(ordered: Sequence[LedgerEntry], public_key: str) -> list[str]:
    """Return the key that has to have signed each line, if `public_key` is one of the ledger's."""
    changes = [entry.details for entry in ordered if entry.action == ROTATION]
    first = str(changes[0].get("previous")) if changes else public_key
    if public_key not in {first, *(str(each.get("public_key")) for each in changes)}:
        return [public_key] * len(ordered)
    keys, present = [], first
    for entry in ordered:
        keys.append(present)
        if entry.action == ROTATION:
            present = str(entry.details.get("public_key"))
    return keys


def _problems(entry: LedgerEntry, seq: int, prev_hash: str, public_key: str) -> Iterable[str]:
    if entry.seq != seq:
        yield f"line {seq} should stand here."
    if entry.prev_hash != prev_hash:
        yield "it does not follow the line before it."
    fields = {name: value for name, value in asdict(entry).items() if name not in ("hash", "signature")}
    if _hash(fields) != entry.hash:
        yield "its content is not that of its hash."
    if not is_signed(entry.hash.encode(), entry.signature, public_key):
        yield "its signature is not that of its hash."


def _is_genuine(receipt: ErasureReceipt, public_key: str) -> bool:
    fields = {name: value for name, value in asdict(receipt).items() if name != "signature"}
    return is_signed(canonical(_plain(fields)), receipt.signature, public_key)


def _head(connection: sa.Connection, tenant: str) -> tuple[int, str]:
    """Return number and hash of the last line, and hold the ledger until the transaction ends."""
    mine = sa.select(chains.c.seq, chains.c.hash).where(chains.c.tenant_id == tenant).with_for_update()
    if (row := connection.execute(mine).first()) is None:
        insert_missing(connection, chains, {"tenant_id": tenant, "seq": 0, "hash": GENESIS})
        row = connection.execute(mine).one()
    return row.seq, row.hash


def _hash(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(_plain(fields))).hexdigest()


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write times as RFC 3339 in UTC with microseconds."""
    return {
        name: value.astimezone(UTC).isoformat(timespec="microseconds")
        if isinstance(value, datetime)
        else value
        for name, value in fields.items()
    }
