"""What is done when a store is opened: erasures that a crash cut off or a restored backup has forgotten."""

from collections.abc import Iterable
from dataclasses import replace

import sqlalchemy as sa

from gallery import erasure, references
from gallery.data_keys import chunks
from gallery.erasure_list import Targets
from gallery.scope import by_id, changed
from gallery.store import Store, Transaction
from gallery.tables import erasures, refs, speakers


def reapply(store: Store) -> int:
    """Carry out all erasures of the list of which the store knows nothing, and destroy the keys of all.

    Erasures that only the store knows, as after the loss of the list, are written to the list again.

    Returns:
        How many erasures were carried out.
    """
    with store.read() as transaction:
        rows = transaction.execute(sa.select(erasures.c.targets).order_by(erasures.c.ledger_seq)).scalars()
        known = {each["erasure_id"]: Targets.from_json(each) for each in rows}
    listed = {each.erasure_id: each for each in store.erasures or ()}
    unlisted = [each for name, each in known.items() if name not in listed]
    if store.erasures is not None and unlisted:
        store.erasures.append(*unlisted)
    forgotten = [each for name, each in listed.items() if name not in known]
    if forgotten:
        with store.write() as transaction:
            for each in forgotten:
                _repeat(transaction, each)
    _destroy_keys(store, (*known.values(), *forgotten))
    return sum(each.kind != "opt_in" for each in forgotten)


def _repeat(transaction: Transaction, what: Targets) -> None:
    if what.kind == "opt_in":
        erasure.allow(transaction, what)
        return
    # Locked in the order of every other change: the gallery, then the ledger.
    scope = by_id(transaction, what.gallery_id, to_change=True)
    # Whoever still has a key that this erasure destroys can never be read again.
    unreadable = _ids(transaction, speakers.c.id, speakers.c.key_id, what.key_ids)
    what = replace(what, speaker_ids=tuple(dict.fromkeys((*what.speaker_ids, *unreadable))))
    losing = _ids(transaction, refs.c.speaker_id, refs.c.id, what.reference_ids)
    erasure.remove(transaction, what, "erase.repeat")
    staying = _ids(transaction, speakers.c.id, speakers.c.id, losing)
    for speaker_id in staying:
        references.count(transaction, speaker_id)
    if scope is not None and what.kind != "gallery":
        changed(transaction, scope, {*what.speaker_ids, *staying})


def _ids(
    transaction: Transaction, wanted: sa.Column[str], column: sa.Column[str], values: Iterable[str]
) -> list[str]:
    """Return the distinct values of one column where another one is among some values."""
    found: dict[str, None] = {}
    for some in chunks(values):
        query = sa.select(wanted).where(column.in_(some))
        found |= dict.fromkeys(transaction.execute(query).scalars())
    return list(found)


def _destroy_keys(store: Store, erased: Iterable[Targets]) -> None:
    """Destroy data keys that a crash after their erasure has left."""
    doomed = store.keys.ids() & {key_id for each in erased for key_id in each.key_ids}
    if doomed:
        store.keys.destroy(doomed)
        store.database.forget_deleted()
