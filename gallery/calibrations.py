"""Calibrations that were fitted on the voices of a gallery, as they are kept."""

from collections.abc import Collection, Mapping
from dataclasses import asdict

import sqlalchemy as sa

from gallery import ledger, references
from gallery.calibration import Calibration
from gallery.data_keys import chunks
from gallery.report import OwnReference, drawn
from gallery.scope import Scope, changed, space_ids
from gallery.store import Transaction
from gallery.tables import calibrations, spaces
from gallery.tables import speakers as speaker_rows
from voxgraph.results import CalibrationReport, Space


def of_gallery(transaction: Transaction, scope: Scope) -> dict[Space, Calibration]:
    """Return the calibrations of a gallery that are in use."""
    return {
        Space(row.model, row.revision, row.dim): Calibration.from_dict(row.params)
        for row in _rows(transaction, scope)
        if row.params is not None
    }


def reports(transaction: Transaction, scope: Scope) -> tuple[CalibrationReport, ...]:
    """Return the reports of the last calibration."""
    return tuple(
        CalibrationReport(
            **{**row.report, "space": Space(row.model, row.revision, row.dim), "det_plot": row.det_plot}
        )
        for row in _rows(transaction, scope)
    )


def own_references(
    transaction: Transaction, scope: Scope, active: Collection[str]
) -> dict[Space, dict[str, list[OwnReference]]]:
    """Return the references of those of the active speakers who are drawn, by space and id."""
    rows = transaction.execute(
        sa.select(speaker_rows.c.id, speaker_rows.c.reference_count).where(
            speaker_rows.c.gallery_id == scope.id
        )
    )
    chosen = drawn({row.id: row.reference_count for row in rows if row.id in active})
    speakers = [
        row
        for some in chunks(chosen)
        for row in transaction.execute(sa.select(speaker_rows).where(speaker_rows.c.id.in_(some)))
    ]
    keys = transaction.store.keys.get([row.key_id for row in speakers])
    found: dict[Space, dict[str, list[OwnReference]]] = {}
    for kept in references.opened(transaction, speakers, keys):
        own = found.setdefault(kept.space, {}).setdefault(kept.speaker_id, [])
        own.append(OwnReference(kept.vector, kept.speech_s))
    return found


def put(
    transaction: Transaction,
    scope: Scope,
    found: Mapping[Space, tuple[CalibrationReport, Calibration | None]],
    actor: str,
) -> None:
    """Keep the outcome of a calibration in place of the last one."""
    known = space_ids(transaction)
    transaction.execute(calibrations.delete().where(calibrations.c.gallery_id == scope.id))
    for space, (report, calibration) in found.items():
        kept = {k: v for k, v in asdict(report).items() if k not in ("space", "det_plot")}
        transaction.execute(
            calibrations.insert().values(
                gallery_id=scope.id, space_id=known[space], report=kept,
                params=calibration.as_dict() if calibration else None, det_plot=report.det_plot,
                created_at=transaction.now,
            )
        )  # fmt: skip
    details = {"enough_data": [report.enough_data for report, _ in found.values()]}
    ledger.append(transaction, scope.tenant, actor, "gallery.calibrate", scope.id, details)
    changed(transaction, scope, ())


def _rows(transaction: Transaction, scope: Scope) -> list[sa.Row[tuple[object, ...]]]:
    query = (
        sa.select(calibrations, spaces.c.model, spaces.c.revision, spaces.c.dim)
        .join(spaces, spaces.c.id == calibrations.c.space_id)
        .where(calibrations.c.gallery_id == scope.id).order_by(spaces.c.id)
    )  # fmt: skip
    return list(transaction.execute(query))
