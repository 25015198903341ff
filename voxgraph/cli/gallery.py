"""Commands about galleries of voices."""

from pathlib import Path
from typing import Annotated

import typer

from voxgraph.cli import arguments
from voxgraph.cli.arguments import Where, grouped

app = typer.Typer(
    name="gallery",
    help="Keep voices and ask whose voice is in a recording.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
Gallery = Annotated[str, typer.Argument(help="Name of the gallery.")]
Speaker = Annotated[str, typer.Argument(help="Your id of the speaker.")]
DecisionId = Annotated[str, typer.Argument(help="decision_id of an answer.")]
Recording = Annotated[str, typer.Argument(help="A file, or - for standard input.")]
Json = Annotated[bool, typer.Option("--json", help="Print the server's JSON.")]
Point = Annotated[
    str | None, typer.Option(metavar="NAME", help="lenient, balanced or strict; by default the gallery's.")
]
Purpose = Annotated[
    str | None, typer.Option(help="What it is for: who did not consent to it is not compared.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")]
Receipt = Annotated[Path | None, typer.Option(help="Write the signed receipt to this file.")]


@app.command("list")
@grouped
def list_galleries(where: Where, json: Json = False) -> None:
    """List the galleries.

    Example: voxgraph gallery list
    """
    from voxgraph.cli.galleries import show_all

    show_all("list_galleries", "galleries", (), {}, where, is_json=json)


@app.command()
@grouped
def create(
    gallery: Gallery,
    where: Where,
    operating_point: Point = None,
    spoof_gate: Annotated[str | None, typer.Option(metavar="HOW", help="off, warn or refuse.")] = None,
    duplicates: Annotated[str | None, typer.Option(metavar="HOW", help="allow, warn or refuse.")] = None,
    ttl_days: Annotated[int | None, typer.Option(help="Days after which speakers expire.")] = None,
    no_consent: Annotated[
        bool, typer.Option("--no-consent", help="Need no consent; the ledger says so.")
    ] = False,
    json: Json = False,
) -> None:
    """Create a gallery, or replace the policy of one.

    Example: voxgraph gallery create staff --operating-point strict
    """
    from voxgraph.cli.galleries import put_gallery

    policy = {
        "operating_point": operating_point, "spoof_gate": spoof_gate, "duplicates": duplicates,
        "ttl_days": ttl_days, "require_consent": False if no_consent else None,
    }  # fmt: skip
    put_gallery(gallery, policy, where, is_json=json)


@app.command()
@grouped
def show(
    gallery: Gallery,
    where: Where,
    speaker: Annotated[str | None, typer.Argument(help="Your id of a speaker.")] = None,
    json: Json = False,
) -> None:
    """Show a gallery, or one speaker: the state, and how much speech is missing.

    Example: voxgraph gallery show staff a-17
    """
    from voxgraph.cli import galleries

    if speaker is None:
        galleries.show("show", (gallery,), {}, where, is_json=json)
    else:
        galleries.show("speaker", (gallery, speaker), {}, where, is_json=json)


@app.command()
@grouped
def speakers(
    gallery: Gallery,
    where: Where,
    state: Annotated[str | None, typer.Option(help="enrolling, active, stale or expired.")] = None,
    json: Json = False,
) -> None:
    """List the speakers of a gallery.

    Example: voxgraph gallery speakers staff --state enrolling
    """
    from voxgraph.cli.galleries import show_all

    show_all("speakers", "speakers", (gallery,), {"state": state}, where, is_json=json)


@app.command()
@grouped
def add(
    gallery: Gallery,
    speaker: Speaker,
    where: Where,
    name: Annotated[str | None, typer.Option(help="Name to show.")] = None,
    consent: Annotated[
        list[str] | None, typer.Option(metavar="PURPOSE", help="The person agreed to this; repeat for more.")
    ] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="Until when (RFC 3339).")] = None,
    notice_uri: Annotated[str | None, typer.Option(help="Where the text is that the person saw.")] = None,
    json: Json = False,
) -> None:
    """Create a speaker with the consent that was given now, or replace name and consent of one.

    Example: voxgraph gallery add staff a-17 --name Anna --consent door
    """
    from voxgraph.cli.galleries import add_speaker

    add_speaker(gallery, speaker, name, consent or [], expires, notice_uri, where, is_json=json)


@app.command()
@grouped
def enrol(
    gallery: Gallery,
    speaker: Speaker,
    recordings: arguments.Recordings,
    where: Where,
    diarized_speaker: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Whose voice of several, such as SPEAKER_01.")
    ] = None,
    channel: arguments.Channel = None,
    json: Json = False,
) -> None:
    """Enrol recordings of a speaker. Exit status 1 if one of them is refused.

    Example: voxgraph gallery enrol staff a-17 anna-1.wav anna-2.wav
    """
    from voxgraph.cli.galleries import enrol_all

    options = {"diarized_speaker": diarized_speaker, "channel": channel}
    enrol_all(gallery, speaker, recordings, options, where, is_json=json)


@app.command("enrol-all")
@grouped
def enrol_all(
    gallery: Gallery,
    manifest: Annotated[Path, typer.Argument(help="CSV file with one recording a line.")],
    where: Where,
    report: Annotated[Path | None, typer.Option(help="Write the CSV report to this file.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="People who are enrolled at a time.")] = 4,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Enrol the people of a manifest; a second run enrols nobody twice. Exit status 1 if one is refused.

    Columns are speaker, file, display_name, purposes (with ; between them), given_at, expires_at, notice_uri,
    notice_sha256, evidence_uri, diarized_speaker, channel.

    Example: voxgraph gallery enrol-all staff people.csv > report.csv
    """
    from voxgraph.cli.manifests import enrol_manifest

    enrol_manifest(gallery, manifest, report, concurrency, where, quiet=quiet)


@app.command()
@grouped
def verify(
    gallery: Gallery,
    speaker: Speaker,
    recording: Recording,
    where: Where,
    operating_point: Point = None,
    purpose: Purpose = None,
    channel: arguments.Channel = None,
    json: Json = False,
) -> None:
    """Decide whether a recording is of a speaker. Exit status 1 if the decision is not match.

    Example: voxgraph gallery verify staff a-17 clip.wav
    """
    from voxgraph.cli.galleries import decide

    options = {"operating_point": operating_point, "purpose": purpose, "channel": channel}
    decide("verify", gallery, recording, options | {"speaker": speaker}, where, is_json=json)


@app.command()
@grouped
def identify(
    gallery: Gallery,
    recording: Recording,
    where: Where,
    diarize: Annotated[bool, typer.Option("--diarize", help="Several people may speak.")] = False,
    top_n: Annotated[int | None, typer.Option(min=1, max=20, help="Candidates that are shown.")] = None,
    operating_point: Point = None,
    purpose: Purpose = None,
    channel: arguments.Channel = None,
    json: Json = False,
) -> None:
    """Decide who speaks in a recording, if anybody whom the gallery knows.

    Example: voxgraph gallery identify staff meeting.wav --diarize
    """
    from voxgraph.cli.galleries import decide

    options = {"top_n": top_n, "operating_point": operating_point, "purpose": purpose, "channel": channel}
    question = "identify_speakers" if diarize else "identify"
    decide(question, gallery, recording, options, where, is_json=json)


@app.command()
@grouped
def rename(
    gallery: Gallery,
    speaker: Speaker,
    name: Annotated[str, typer.Argument(help="Name to show.")],
    where: Where,
    json: Json = False,
) -> None:
    """Change the name of a speaker; the id stays.

    Example: voxgraph gallery rename staff a-17 'Anna B.'
    """
    from voxgraph.cli.galleries import show

    show("change_speaker", (gallery, speaker, {"display_name": name}), {}, where, is_json=json)


@app.command()
@grouped
def merge(
    gallery: Gallery,
    into: Annotated[str, typer.Argument(help="Id of the speaker who stays.")],
    source: Annotated[str, typer.Argument(help="Id of the speaker whose references move.")],
    where: Where,
    json: Json = False,
) -> None:
    """Make one speaker of two.

    Example: voxgraph gallery merge staff a-17 a-40
    """
    from voxgraph.cli.galleries import show

    show("merge", (gallery, into, source), {}, where, is_json=json)


@app.command("opt-out")
@grouped
def opt_out(
    gallery: Gallery, speaker: Speaker, where: Where, yes: Yes = False, receipt: Receipt = None
) -> None:
    """Erase a speaker, and refuse that id from now on.

    Example: voxgraph gallery opt-out staff a-17 --yes
    """
    from voxgraph.cli.galleries import erase

    erase("opt_out", (gallery, speaker), where, receipt, is_meant=yes)


@app.command("withdraw-consent")
@grouped
def withdraw_consent(
    gallery: Gallery, speaker: Speaker, where: Where, yes: Yes = False, receipt: Receipt = None
) -> None:
    """Erase all references of a speaker and the consent; the name stays.

    Example: voxgraph gallery withdraw-consent staff a-17 --yes
    """
    from voxgraph.cli.galleries import erase

    erase("withdraw_consent", (gallery, speaker), where, receipt, is_meant=yes)


@app.command("erase")
@grouped
def erase_speaker(
    gallery: Gallery,
    where: Where,
    speaker: Annotated[str | None, typer.Argument(help="Your id of the speaker; none: everybody.")] = None,
    yes: Yes = False,
    receipt: Receipt = None,
) -> None:
    """Erase a speaker, or a whole gallery, for good.

    Example: voxgraph gallery erase staff a-17 --yes --receipt a-17.json
    """
    from voxgraph.cli.galleries import erase

    if speaker is None:
        erase("delete", (gallery,), where, receipt, is_meant=yes)
    else:
        erase("erase", (gallery, speaker), where, receipt, is_meant=yes)


@app.command()
@grouped
def export(
    gallery: Gallery,
    speaker: Speaker,
    where: Where,
    vectors: Annotated[bool, typer.Option("--vectors", help="With the vectors.")] = False,
) -> None:
    """Print everything that is kept of a speaker, as JSON.

    Example: voxgraph gallery export staff a-17 > a-17.json
    """
    from voxgraph.cli.galleries import show

    show("export", (gallery, speaker), {"vectors": vectors}, where, is_json=True)


@app.command()
@grouped
def duplicates(gallery: Gallery, where: Where, json: Json = False) -> None:
    """List pairs of speakers whose voices are probably one.

    Example: voxgraph gallery duplicates staff
    """
    from voxgraph.cli.galleries import show

    show("duplicates", (gallery,), {}, where, is_json=json)


@app.command()
@grouped
def calibrate(gallery: Gallery, where: Where, json: Json = False) -> None:
    """Fit the calibration on the gallery's own voices, and report on it.

    Example: voxgraph gallery calibrate staff
    """
    from voxgraph.cli.galleries import show

    show("calibrate", (gallery,), {}, where, is_json=json)


@app.command()
@grouped
def report(gallery: Gallery, where: Where, json: Json = False) -> None:
    """Show the report of the last calibration, and how many decisions were confirmed and rejected.

    Example: voxgraph gallery report staff --json
    """
    from voxgraph.cli.galleries import show

    show("report", (gallery,), {}, where, is_json=json)


@app.command()
@grouped
def confirm(gallery: Gallery, decision: DecisionId, where: Where, json: Json = False) -> None:
    """Say that a decision was right, after you looked at it. Nothing is learned from it.

    Example: voxgraph gallery confirm staff dec_019c0a51f3aa
    """
    from voxgraph.cli.galleries import show

    show("confirm", (gallery, decision), {}, where, is_json=json)


@app.command()
@grouped
def reject(gallery: Gallery, decision: DecisionId, where: Where, json: Json = False) -> None:
    """Say that a decision was wrong, after you looked at it. Nothing is learned from it.

    Example: voxgraph gallery reject staff dec_019c0a51f3aa
    """
    from voxgraph.cli.galleries import show

    show("reject", (gallery, decision), {}, where, is_json=json)


@app.command("rotate-key")
def rotate_key(
    state: Annotated[str, typer.Option(metavar="FOLDER|URL", help="A folder, or the URL of PostgreSQL.")],
) -> None:
    """Replace the master key of a store, on the machine that has it.

    The old key is master.key in the folder, and the new one takes its place. Or the old one is in
    VOXGRAPH_GALLERY_KEY, and the new one, 64 hexadecimal digits, in VOXGRAPH_GALLERY_NEW_KEY. A graph that
    runs answers 503 from then on until it is started with the new key. If the command is cut off, call it
    again.

    Example: voxgraph gallery rotate-key --state /var/lib/voxgraph
    """
    from voxgraph.cli.installed import of_service

    count = of_service("gallery.rotation:rotate_master_key")(state)
    print(f"The master key was replaced; it wraps the keys of {count} speakers.")
