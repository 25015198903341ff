/** The answer in every format, and the same question as curl, Python and command. */
import { useSignal } from "@preact/signals";
import { apiKey, ask, Problem, ROOT } from "./api";
import { Problems } from "./problems";
import type { Recording } from "./recordings";
import { t } from "./strings";
import { shell } from "./text";

/** File suffix by format, as in the server's own table of formats. */
const SUFFIXES: Record<string, string> = {
  json: "json", rttm: "rttm", vtt: "vtt", srt: "srt", csv: "csv", tsv: "tsv", textgrid: "TextGrid", audacity: "txt",
};

export function Exports({ recording }: { recording: Recording }) {
  const problem = useSignal<Problem | null>(null);
  const stem = recording.file.name.replace(/\.\w+$/, "");
  const formats = Object.keys(SUFFIXES).filter((format) => format === "json" || recording.answer.value.diarization);
  const save = async (format: string) => {
    problem.value = null;
    try {
      const made = format === "json" ? jsonOf(recording) : await written(recording, format, stem);
      download(made, `${stem}.${SUFFIXES[format]}`);
    } catch (error) {
      problem.value = error as Problem;
    }
  };
  return (
    <section class="exports">
      <h3>{t.take}</h3>
      <div class="row">
        {formats.map((format) => (
          <button key={format} class="button" onClick={() => save(format)}>
            {t.formats[format]}
          </button>
        ))}
      </div>
      {recording.answer.value.diarization && <p class="quiet">{t.namesGoWith}</p>}
      <Problems problems={problem.value ? [problem.value] : []} />
      <h3>{t.ask}</h3>
      <Ways recording={recording} />
    </section>
  );
}

/** The whole answer with the given names, without what only the page draws. */
function jsonOf(recording: Recording): Blob {
  const { peaks: _, ...answer } = recording.answer.value;
  const names = recording.given;
  const named = (speaker: string) => names[speaker] ?? speaker;
  const diarization = answer.diarization && {
    ...answer.diarization,
    speakers: answer.diarization.speakers.map(named),
    diarization_results: answer.diarization.diarization_results.map((turn) => ({
      ...turn,
      speaker: named(turn.speaker),
    })),
  };
  return new Blob([JSON.stringify({ ...answer, diarization }, null, 2)], { type: "application/json" });
}

/** The turns in a format, written by the server from the answer: the recording is not sent again. */
async function written(recording: Recording, format: string, uri: string): Promise<Blob> {
  const { diarization, audio_duration } = recording.answer.value;
  const response = await ask(`v1/format?format=${format}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      uri,
      audio_duration,
      diarization_results: diarization!.diarization_results,
      names: recording.given,
    }),
  });
  return response.blob();
}

function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

type Way = keyof typeof t.ways;

/** What asks the same question; a key is never part of it, only the variable that holds it. */
function texts(recording: Recording): Record<Way, string> {
  const name = recording.file.name;
  const base = ROOT.replace(/\/$/, "");
  const key = apiKey() ? ` -H "Authorization: Bearer $VOXGRAPH_API_KEY"` : "";
  const { tasks, speakers } = recording;
  const python = [JSON.stringify(name), `tasks=${JSON.stringify(tasks)}`];
  const command = ["voxgraph", "analyze", shell(name), "--url", base, "--tasks", tasks.join(",")];
  if (speakers) {
    python.push(`num_speakers=${speakers}`);
    command.push("--num-speakers", String(speakers));
  }
  return {
    curl: `curl${key} -F ${shell(`file=@${name}`)} ${shell(`${base}/v1/analyze?${decodeURIComponent(recording.query.toString())}`)}`,
    python: [
      "from voxgraph import Client",
      "",
      `with Client(${JSON.stringify(base)}) as client:`,
      `    print(client.analyze(${python.join(", ")}))`,
    ].join("\n"),
    command: command.join(" "),
  };
}

function Ways({ recording }: { recording: Recording }) {
  const way = useSignal<Way>("curl");
  const copied = useSignal(false);
  const text = texts(recording)[way.value];
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    copied.value = true;
    setTimeout(() => (copied.value = false), 2000);
  };
  return (
    <>
      <div class="row">
        {(Object.keys(t.ways) as Way[]).map((one) => (
          <button key={one} class="button" aria-pressed={way.value === one} onClick={() => (way.value = one)}>
            {t.ways[one]}
          </button>
        ))}
        {/* Browsers give the clipboard only to pages of https:// or of this machine. */}
        {navigator.clipboard && (
          <button class="button" onClick={copy}>
            <span aria-live="polite">{copied.value ? t.copied : t.copy}</span>
          </button>
        )}
      </div>
      <pre tabIndex={0} aria-label={t.ways[way.value]}>
        <code>{text}</code>
      </pre>
    </>
  );
}
