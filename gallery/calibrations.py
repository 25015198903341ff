"""Calibrations that were fitted on the voices of a gallery, as they are kept."""

from collections.abc import Mapping
from dataclasses import asdict

import sqlalchemy as sa

from gallery import ledger
from gallery.calibration import Calibration
from gallery.scope import Scope, changed, space_ids
from gallery.store import Transaction
from gallery.tables import calibrations, spaces
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
