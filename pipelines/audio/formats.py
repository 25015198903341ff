"""The containers that are read: their names, their demuxers, and how their content is recognised."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pipelines.audio.frames import is_ac3, is_adts, is_eac3, is_mpeg
from pipelines.audio.tags import MP4_ATOMS, after_tags


class Container(StrEnum):
    """Supported containers; each value is the name of FFmpeg's demuxer."""

    WAV = "wav"
    W64 = "w64"
    AIFF = "aiff"
    AU = "au"
    CAF = "caf"
    NIST = "nistsphere"
    FLAC = "flac"
    MP3 = "mp3"
    ADTS = "aac"
    AC3 = "ac3"
    EAC3 = "eac3"
    AMR = "amr"
    OGG = "ogg"
    MP4 = "mov"
    MATROSKA = "matroska"
    ASF = "asf"


@dataclass(frozen=True, slots=True)
class Format:
    """What users are told of a container."""

    title: str
    """Name, with the usual extensions."""
    codecs: str
    """Codecs that are read in it."""
    decoders: tuple[str, ...]
    """FFmpeg's decoders of these codecs. No other is opened: not those of pictures, and none of the two
    hundred of games and old programs, which have seen the least testing."""

    @property
    def name(self) -> str:
        """Name without the extensions."""
        return self.title.partition(" (")[0]


_LAW = ("pcm_alaw", "pcm_mulaw")
_PCM_LE = ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", *_LAW)
_PCM = (*_PCM_LE, "pcm_s8", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be")
_ADPCM = ("adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha", "g722", "g726")
_MPEG = ("mp3float", "mp3", "mp2float", "mp2", "mp1float", "mp1")
_AC3 = ("ac3", "eac3")
_AMR = ("amrnb", "amrwb")
_WAV = (*_PCM_LE, *_ADPCM, "gsm_ms", *_MPEG, "ac3")

FORMATS: dict[Container, Format] = {
    Container.WAV: Format(
        "WAV, RF64 (.wav)", "PCM of 8 to 32 bits, float, A-law, mu-law, ADPCM, GSM, MP3, AC-3", _WAV
    ),
    Container.W64: Format("Wave64 (.w64)", "as WAV", _WAV),
    Container.AIFF: Format("AIFF, AIFC (.aiff, .aif, .aifc)", "PCM, float, A-law, mu-law", _PCM),
    Container.AU: Format("AU (.au, .snd)", "PCM, float, A-law, mu-law", _PCM),
    Container.CAF: Format(
        "CAF (.caf)", "PCM, ALAC, AAC, Opus, A-law, mu-law", (*_PCM, "alac", "aac", "opus", "libopus")
    ),
    Container.NIST: Format("NIST SPHERE (.sph, .nist)", "PCM, A-law, mu-law", _PCM),
    Container.FLAC: Format("FLAC (.flac)", "FLAC", ("flac",)),
    Container.MP3: Format("MP3 (.mp3, .mp2)", "MPEG audio, layers I to III", _MPEG),
    Container.ADTS: Format("AAC (.aac)", "AAC", ("aac",)),
    Container.AC3: Format("AC-3 (.ac3)", "AC-3", ("ac3",)),
    Container.EAC3: Format("E-AC-3 (.eac3)", "E-AC-3", _AC3),
    Container.AMR: Format("AMR (.amr, .awb)", "AMR-NB, AMR-WB", _AMR),
    Container.OGG: Format(
        "Ogg (.ogg, .oga, .opus, .spx)",
        "Opus, Vorbis, FLAC, Speex",
        ("opus", "libopus", "vorbis", "flac", "speex"),
    ),
    Container.MP4: Format(
        "MP4, QuickTime, 3GP (.m4a, .mp4, .mov, .3gp)",
        "AAC, ALAC, MP3, AC-3, E-AC-3, Opus, FLAC, AMR, PCM, A-law, mu-law, ADPCM of QuickTime",
        (*_PCM, *_MPEG, *_AC3, *_AMR, "aac", "alac", "opus", "libopus", "flac", "adpcm_ima_qt"),
    ),
    Container.MATROSKA: Format(
        "Matroska, WebM (.webm, .mkv, .mka)",
        "Opus, Vorbis, AAC, MP3, FLAC, AC-3, E-AC-3, PCM, TTA, WavPack",
        (*_PCM, *_MPEG, *_AC3, "opus", "libopus", "vorbis", "aac", "flac", "alac", "tta", "wavpack"),
    ),
    Container.ASF: Format(
        "ASF (.wma, .wmv, .asf)", "WMA, WMA Pro, WMA Lossless", ("wmav1", "wmav2", "wmapro", "wmalossless")
    ),
}
"""All containers that are read, in the order of the documentation."""

W64_START = b"riff\x2e\x91\xcf\x11"
EBML = b"\x1aE\xdf\xa3"
ASF_HEADER = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"

_STARTS: dict[bytes, Container] = {
    b"fLaC": Container.FLAC,
    b"OggS": Container.OGG,
    EBML: Container.MATROSKA,
    b".snd": Container.AU,
    b"caff": Container.CAF,
    b"NIST_1A": Container.NIST,
    b"#!AMR": Container.AMR,
    W64_START: Container.W64,
    ASF_HEADER: Container.ASF,
}
_PATTERNS: tuple[tuple[Container, Callable[[bytes], bool]], ...] = (
    (Container.WAV, lambda head: head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"),
    (Container.AIFF, lambda head: head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")),
    (Container.MP4, lambda head: head[4:8] in MP4_ATOMS),
    (Container.AC3, is_ac3),
    (Container.EAC3, is_eac3),
    (Container.ADTS, is_adts),
    (Container.MP3, is_mpeg),
)


def sniff(data: bytes) -> Container | None:
    """Detect the container from the content, not the file name; return None if it is not supported.

    Tags and padding before the content are skipped.
    """
    return sniff_at(data, after_tags(data, 0))


def sniff_at(data: bytes, position: int) -> Container | None:
    """Detect the container of the file that starts at a position; return None if it is not supported."""
    head = data[position : position + 16]
    for start, container in _STARTS.items():
        if head.startswith(start):
            return container
    return next((container for container, matches in _PATTERNS if matches(head)), None)


def supported_formats() -> str:
    """Return the names of the supported containers for a message."""
    names = [entry.name for entry in FORMATS.values()]
    return f"{', '.join(names[:-1])} and {names[-1]}"
