"""Bound the index of an MP4 before FFmpeg builds it, because the counts in its headers cost nothing to write.

FFmpeg makes an entry of 24 bytes and more for every sample that the headers count. Where all samples have one
size, or the default one, no table bounds the count: 4.6 kB of headers took 1.4 GB.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxgraph.errors import CorruptAudio, UnsupportedAudio

MAX_INDEX_ENTRIES = 4_000_000
"""Most entries of the indexes of all tracks: four hours of video at 60 pictures a second with AAC need 1.6
million."""
MAX_TRACKS = 64
MAX_ATOMS = 1_000_000
"""Most atoms that are looked at: two hours in fragments of a tenth of a second have half as many."""
_MAX_DEPTH = 12
"""Depth of atoms, beyond the 10 of FFmpeg."""
_CONTAINERS = frozenset(
    b"moov trak mdia minf stbl edts dinf mvex moof traf udta ilst wave tref sinf schi gmhd iprp ipco".split()
)
_MOVIE_STARTS = (b"mvhd", b"cmov")
"""Atoms with which FFmpeg takes a free atom for a movie."""
_ROW_BYTES = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4}
"""Bytes of a row of the tables that state only their number of rows."""
_TABLES = re.compile(b"stsz|stz2|trun|" + b"|".join(_ROW_BYTES))
_RUN_FIELDS = 0x100, 0x200, 0x400, 0x800
"""Flags of the fields of 4 bytes that a run of a fragment may have for each sample."""
_CHUNK_ENTRY_SAMPLES = 160
"""Fewest samples of a chunk that FFmpeg puts into one entry, of GSM; 900 and more of others."""


@dataclass(frozen=True, slots=True)
class _Atom:
    kind: bytes
    start: int
    """Position of its content."""
    end: int


@dataclass(slots=True)
class _Track:
    """The tables of one track."""

    samples: int = 0
    """Samples that have an entry each, unless the track is in chunks."""
    chunks: int = 0
    runs: _Atom | None = None
    """The table of the samples in each chunk."""
    is_in_chunks: bool = False
    """Whether every sample lasts one tick, as of PCM: FFmpeg makes entries for parts of chunks."""

    def entries(self, data: bytes) -> int:
        """Return the entries that FFmpeg makes, or a few more."""
        if not self.is_in_chunks or self.runs is None:
            return self.samples
        rows = np.frombuffer(
            data, ">u4", _word(data, self.runs.start + 4, self.runs.end) * 3, self.runs.start + 8
        )
        first, samples, _ = rows.reshape(-1, 3).astype(np.float64).T
        chunks = np.abs(np.diff(first, append=self.chunks + 1))
        return int(np.dot(chunks, samples // _CHUNK_ENTRY_SAMPLES + 1))


def check_index(data: bytes) -> None:
    """Refuse an MP4 that counts more samples than it has bytes, or than a recording can have.

    Raises:
        CorruptAudio: The counts are beyond the size of the file or of their tables, or there are too many
            atoms.
        UnsupportedAudio: The index is compressed, larger than `MAX_INDEX_ENTRIES`, or of too many tracks.
    """
    tracks, in_fragments = [_Track()], 0
    for number, atom in enumerate(_atoms(data, 0, len(data), 0)):
        _check_atom(data, atom, number)
        if atom.kind == b"trak":
            tracks.append(_Track())
        elif atom.kind == b"trun":
            in_fragments += _run_samples(data, atom)
        else:
            _add_table(data, atom, tracks[-1])
    entries = in_fragments + sum(track.entries(data) for track in tracks)
    if entries > len(data):
        raise CorruptAudio(f"The MP4 file counts {entries} samples in {len(data)} bytes.")
    if len(tracks) > MAX_TRACKS + 1 or entries > MAX_INDEX_ENTRIES:
        raise UnsupportedAudio(
            f"The MP4 file has {entries} samples in {len(tracks) - 1} tracks;"
            f" at most {MAX_INDEX_ENTRIES} in {MAX_TRACKS} are supported."
        )


def _check_atom(data: bytes, atom: _Atom, number: int) -> None:
    """Refuse atoms in which counts can hide, and too many of them."""
    if number > MAX_ATOMS:
        raise CorruptAudio("The MP4 file has too many atoms.")
    if atom.kind == b"cmov":
        raise UnsupportedAudio("The index of the MP4 file is compressed, which is not supported.")
    if atom.kind == b"stsd" and _TABLES.search(data, atom.start, atom.end):
        raise CorruptAudio("The MP4 file is damaged: a description of its sound has a table.")


def _add_table(data: bytes, atom: _Atom, track: _Track) -> None:
    if atom.kind in (b"stsz", b"stz2"):
        size, count = (_word(data, atom.start + offset, atom.end) for offset in (4, 8))
        bits = size & 0xFF if atom.kind == b"stz2" else 32 * (size == 0)
        _check_table(atom, 12 + count * bits // 8)
        track.samples += count
    elif atom.kind in _ROW_BYTES:
        count = _word(data, atom.start + 4, atom.end)
        _check_table(atom, 8 + count * _ROW_BYTES[atom.kind])
        if atom.kind == b"stts":
            track.is_in_chunks = count == 1 and _word(data, atom.start + 12, atom.end) == 1
        elif atom.kind == b"stsc":
            track.runs = atom
        elif atom.kind in (b"stco", b"co64"):
            track.chunks = count


def _run_samples(data: bytes, atom: _Atom) -> int:
    """Return the samples of a run of a fragment."""
    flags, count = (_word(data, atom.start + offset, atom.end) for offset in (0, 4))
    _check_table(atom, 8 + count * 4 * sum(bool(flags & field) for field in _RUN_FIELDS))
    return count


def _check_table(atom: _Atom, size: int) -> None:
    if size > atom.end - atom.start:
        raise CorruptAudio(f"The MP4 file is damaged: its table {atom.kind.decode()} is too short.")


def _word(data: bytes, position: int, end: int) -> int:
    """Return a number of 32 bits, 0 beyond the end."""
    return int.from_bytes(data[position : position + 4]) if position + 4 <= end else 0


def _atoms(data: bytes, position: int, end: int, depth: int) -> Iterator[_Atom]:
    """Yield the atoms in a part of a file, and those inside them in which FFmpeg would find tables."""
    while position + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if size == 1 and start + 8 <= end:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        position = min(position + size, end) if size >= start - position else end
        atom = _Atom(kind, start, position)
        yield atom
        inside = _inside(data, atom)
        if inside is not None and depth < _MAX_DEPTH:
            yield from _atoms(data, inside, position, depth + 1)


def _inside(data: bytes, atom: _Atom) -> int | None:
    """Return the position of the first atom inside another; None if FFmpeg does not look for one."""
    if atom.kind in _CONTAINERS:
        return atom.start
    if atom.kind in (b"free", b"skip", b"hoov"):
        return atom.start if data[atom.start + 4 : atom.start + 8] in _MOVIE_STARTS else None
    if atom.kind == b"meta":
        handler = data.find(b"hdlr", atom.start, atom.end)
        return handler - 4 if handler >= 0 else None
    return None
