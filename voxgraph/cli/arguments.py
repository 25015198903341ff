"""Arguments that several commands share, and how a command takes a group of them as one object."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

Recordings = Annotated[
    list[str],
    typer.Argument(
        metavar="RECORDINGS", help="Files, folders, patterns such as '*.wav', or - for standard input."
    ),
]
Languages = Annotated[
    str | None, typer.Option(metavar="CODES", help="Languages that may be spoken, such as en,de,zh.")
]
Channel = Annotated[int | None, typer.Option(min=0, help="Channel to take, from 0; by default all, mixed.")]
AllowNoSpeech = Annotated[
    bool, typer.Option("--allow-no-speech", help="Answer about recordings in which nobody speaks, too.")
]
Encoder = Annotated[
    str | None, typer.Option(metavar="NAME", help="voxceleb or cnceleb; by default the language decides.")
]
NumSpeakers = Annotated[
    int | None, typer.Option("--num-speakers", "--num_speakers", min=1, help="Exact number of speakers.")
]
MinSpeakers = Annotated[
    int | None, typer.Option("--min-speakers", "--min_speakers", min=1, help="Fewest speakers.")
]
MaxSpeakers = Annotated[
    int | None, typer.Option("--max-speakers", "--max_speakers", min=1, help="Most speakers.")
]
Exclusive = Annotated[
    bool, typer.Option("--exclusive", help="Give turns without overlap: one speaker at any time.")
]
Embeddings = Annotated[bool, typer.Option("--embeddings", help="Add the mean embedding of each speaker.")]
Frames = Annotated[
    bool, typer.Option("--frames", help="Add the probability of each speaker, frame by frame.")
]
Channels = Annotated[
    str | None,
    typer.Option(metavar="HOW", help="mix, or separate: each channel is one speaker, as on many telephones."),
]
Gallery = Annotated[str | None, typer.Option(metavar="NAME", help="Gallery that names the speakers.")]
Purpose = Annotated[
    str | None, typer.Option(help="What the names are for: who did not consent to it is not compared.")
]
ChunkDuration = Annotated[float | None, typer.Option(help="Length of a chunk in seconds.")]
Overlap = Annotated[float | None, typer.Option(help="Overlapping share of two chunks, 0 to 0.9.")]


@dataclass(frozen=True)
class Where:
    """What answers: a server, or this process."""

    url: Annotated[
        str | None,
        typer.Option(
            envvar="VOXGRAPH_URL", show_envvar=False,
            help="Address of the server; by default VOXGRAPH_URL, or http://127.0.0.1:8000.",
        ),
    ] = None  # fmt: skip
    local: Annotated[
        bool, typer.Option("--local", help="Answer in this process, without a server and without Ray.")
    ] = False
    config: Annotated[
        Path | None, typer.Option(help="Configuration file for --local; by default the starter checkpoints.")
    ] = None
    timeout: Annotated[float | None, typer.Option(help="Seconds that one answer may take.")] = None


@dataclass(frozen=True)
class Output:
    """Where answers go, and how they are written."""

    format: Annotated[
        str | None,
        typer.Option(
            "--format", "-f", "--output_format", metavar="NAME",
            help="table, json, ndjson; with times also rttm, vtt, srt, csv, tsv, textgrid, audacity.",
        ),
    ] = None  # fmt: skip
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False
    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--output-dir", "-o", "--output_dir", help="Write each answer to a file in this folder."
        ),
    ] = None
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Leave out recordings whose file is in the folder already."),
    ] = False
    concurrency: Annotated[int, typer.Option(min=1, help="Recordings in progress at a time.")] = 4
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses of options: each field becomes an option of the command line."""
    hints = get_type_hints(command, include_extras=True)
    parameters, groups = [], dict[str, Any]()
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(hints[name]):
            groups[name] = hints[name]
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY))
    for group in groups.values():
        types = get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(
                each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=types[each.name]
            )
            for each in fields(group)
        ]

    @functools.wraps(command)
    def flat(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{each.name: given.pop(each.name) for each in fields(group)})
        command(**given)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {each.name: each.annotation for each in parameters}
    del flat.__wrapped__
    return flat
