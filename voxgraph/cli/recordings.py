"""Commands that ask about recordings."""

from pathlib import Path
from typing import Annotated

import typer

from voxgraph.cli import arguments
from voxgraph.cli.arguments import Output, Recordings, Where, grouped


@grouped
def analyze(
    recordings: Recordings,
    where: Where,
    output: Output,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Of language,speaker,accent,diarization,deepfake; by default all."
        ),
    ] = None,
    num_speakers: arguments.NumSpeakers = None,
    min_speakers: arguments.MinSpeakers = None,
    max_speakers: arguments.MaxSpeakers = None,
    exclusive: arguments.Exclusive = False,
    embeddings: arguments.Embeddings = False,
    frames: arguments.Frames = False,
    gallery: arguments.Gallery = None,
    purpose: arguments.Purpose = None,
    chunk_duration: arguments.ChunkDuration = None,
    overlap: arguments.Overlap = None,
    encoder: arguments.Encoder = None,
    languages: arguments.Languages = None,
    channel: arguments.Channel = None,
    allow_no_speech: arguments.AllowNoSpeech = False,
) -> None:
    """Ask everything: language, voice, accent, who speaks when, what is AI-generated.

    Example: voxgraph analyze meeting.m4a
    """
    from voxgraph.cli.asking import ask

    options = {
        "tasks": tasks, "num_speakers": num_speakers, "min_speakers": min_speakers,
        "max_speakers": max_speakers, "chunk_duration": chunk_duration, "overlap": overlap,
        "encoder": encoder, "languages": languages, "channel": channel, "exclusive": exclusive,
        "embeddings": embeddings, "frames": frames, "gallery": gallery, "purpose": purpose,
        "allow_no_speech": allow_no_speech,
    }  # fmt: skip
    ask("analyze", recordings, options, where, output)


@grouped
def language(
    recordings: Recordings,
    where: Where,
    output: Output,
    languages: arguments.Languages = None,
    channel: arguments.Channel = None,
    allow_no_speech: arguments.AllowNoSpeech = False,
) -> None:
    """Detect which language is spoken.

    Example: voxgraph language calls/ --languages en,de --format ndjson
    """
    from voxgraph.cli.asking import ask

    options = {"languages": languages, "channel": channel, "allow_no_speech": allow_no_speech}
    ask("language", recordings, options, where, output)


@grouped
def accent(
    recordings: Recordings,
    where: Where,
    output: Output,
    channel: arguments.Channel = None,
    allow_no_speech: arguments.AllowNoSpeech = False,
) -> None:
    """Identify the accent of spoken English.

    Example: voxgraph accent clip.wav
    """
    from voxgraph.cli.asking import ask

    ask("accent", recordings, {"channel": channel, "allow_no_speech": allow_no_speech}, where, output)


@grouped
def deepfake(
    recordings: Recordings,
    where: Where,
    output: Output,
    chunk_duration: arguments.ChunkDuration = None,
    overlap: arguments.Overlap = None,
    channel: arguments.Channel = None,
    allow_no_speech: arguments.AllowNoSpeech = False,
) -> None:
    """Detect which parts are AI-generated.

    Example: voxgraph deepfake statement.mp3
    """
    from voxgraph.cli.asking import ask

    options = {
        "chunk_duration": chunk_duration, "overlap": overlap, "channel": channel,
        "allow_no_speech": allow_no_speech,
    }  # fmt: skip
    ask("deepfake", recordings, options, where, output)


@grouped
def diarize(
    recordings: Recordings,
    where: Where,
    output: Output,
    num_speakers: arguments.NumSpeakers = None,
    min_speakers: arguments.MinSpeakers = None,
    max_speakers: arguments.MaxSpeakers = None,
    min_duration: Annotated[
        float | None, typer.Option(help="Leave out turns shorter than this, in seconds.")
    ] = None,
    exclusive: arguments.Exclusive = False,
    embeddings: arguments.Embeddings = False,
    frames: arguments.Frames = False,
    channels: arguments.Channels = None,
    gallery: arguments.Gallery = None,
    purpose: arguments.Purpose = None,
    channel: arguments.Channel = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the timeline of one recording into this picture (matplotlib).")
    ] = None,
) -> None:
    """Find who speaks when.

    Example: voxgraph diarize interview.wav --format rttm
    """
    from voxgraph.cli.asking import ask

    options = {
        "num_speakers": num_speakers, "min_speakers": min_speakers, "max_speakers": max_speakers,
        "min_duration": min_duration, "channel": channel, "exclusive": exclusive, "embeddings": embeddings,
        "frames": frames, "channels": channels, "gallery": gallery, "purpose": purpose,
    }  # fmt: skip
    ask("diarize", recordings, options, where, output, plot)


@grouped
def embed(
    recordings: Recordings,
    where: Where,
    output: Output,
    encoder: arguments.Encoder = None,
    languages: arguments.Languages = None,
    channel: arguments.Channel = None,
    allow_no_speech: arguments.AllowNoSpeech = False,
) -> None:
    """Embed the voice as 192 numbers.

    Example: voxgraph embed voices/ --output-dir embeddings --skip-existing
    """
    from voxgraph.cli.asking import ask

    options = {
        "encoder": encoder, "languages": languages, "channel": channel, "allow_no_speech": allow_no_speech,
    }  # fmt: skip
    ask("embed", recordings, options, where, output)


@grouped
def compare(
    first: Annotated[str, typer.Argument(metavar="RECORDING", help="A file, or - for standard input.")],
    second: Annotated[str, typer.Argument(metavar="RECORDING", help="Another file.")],
    where: Where,
    threshold: Annotated[
        float | None,
        typer.Option(min=-1.0, max=1.0, help="Similarity of one speaker; by default the calibrated one."),
    ] = None,
    encoder: arguments.Encoder = None,
    languages: arguments.Languages = None,
    channel: arguments.Channel = None,
    allow_no_speech: arguments.AllowNoSpeech = False,
    format: Annotated[
        str | None, typer.Option("--format", "-f", metavar="NAME", help="table, json or ndjson.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Tell whether two recordings are of one speaker.

    Example: voxgraph compare a.wav b.mp3
    """
    from voxgraph.cli.asking import compare_two

    options = {
        "threshold": threshold, "encoder": encoder, "languages": languages, "channel": channel,
        "allow_no_speech": allow_no_speech,
    }  # fmt: skip
    compare_two(first, second, options, where, Output(format=format, json=json))
