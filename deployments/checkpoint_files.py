"""The checkpoints of a configuration: which they are, and whether their files are on this machine. No Ray."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from config.checkpoints import row_for
from deployments.loading import read_settings, served_models
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey


class Listed(NamedTuple):
    """What a model loads."""

    model: ModelKey
    hub_id: str
    revision: str
    """The pinned commit; empty if the checkpoint is not on the hub."""
    source: str
    """``hub``, ``starter`` or a folder."""
    licence: str


class Found(NamedTuple):
    """Whether the files of a model's checkpoint are here and are those of the table."""

    model: ModelKey
    revision: str
    problem: str
    """What is wrong, in a sentence; empty if nothing is."""


def listed(config: Path) -> list[Listed]:
    """Return the checkpoints of a configuration file; raises what `read_settings` raises."""
    settings = read_settings(config)
    rows = {key: row_for(key, settings.checkpoint(key)) for key in served_models(settings)}
    return [
        Listed(key, row.hub_id, row.revision, settings.checkpoint(key).source, row.licence)
        for key, row in rows.items()
    ]


def pulled(config: Path) -> Iterator[Found]:
    """Download and verify the checkpoints of a configuration file; raises what `read_settings` raises."""
    return _located(config, may_download=True)


def verified(config: Path) -> Iterator[Found]:
    """Verify the checkpoints of a configuration file without a network; raises as `pulled` does."""
    return _located(config, may_download=False)


def _located(config: Path, *, may_download: bool) -> Iterator[Found]:
    # Imported here, and with it torch.
    from pipelines.checkpoints import locate

    settings = read_settings(config)
    for key in served_models(settings):
        try:
            checkpoint = locate(key, settings.checkpoint(key), may_download=may_download)
        except CheckpointError as error:
            yield Found(key, "", error.detail)
        else:
            yield Found(key, checkpoint.revision, "")
