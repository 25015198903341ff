/** The view of one recording after the other: input, list, progress, answers. */
import { useComputed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Task } from "./api";
import { Cards } from "./cards";
import { Exports } from "./exports";
import { Input } from "./input";
import { Problems } from "./problems";
import { add, type Recording, recordings, remove, selected, speakers, TASKS, tasks } from "./recordings";
import { t } from "./strings";
import { clock } from "./text";
import { Timeline } from "./timeline";

export function Listen() {
  useEffect(() => takeDrops(), []);
  const some = recordings.value.length > 0;
  const shown = selected.value;
  return (
    <>
      <h1 class={some ? "unseen" : "hero"}>{t.tagline}</h1>
      {!some && <p class="lead">{t.lead}</p>}
      <Input title={some ? t.dropMore : t.drop} hint={some ? undefined : t.dropHint} many compact={some} onFiles={add}>
        <Options />
      </Input>
      {recordings.value.length > 1 && <List />}
      {shown && <Shown key={shown.id} recording={shown} />}
    </>
  );
}

/** Take files that are dropped beside every area, which would otherwise replace the page. */
function takeDrops(): void {
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    if (location.hash !== "#compare") add(event.dataTransfer?.files ?? []);
  });
}

function Options() {
  const toggle = (task: Task) => {
    const chosen = tasks.value.includes(task) ? tasks.value.filter((one) => one !== task) : [...tasks.value, task];
    if (chosen.length) tasks.value = TASKS.filter((one) => chosen.includes(one));
  };
  return (
    <details class="options">
      <summary>{t.options}</summary>
      <fieldset>
        <legend>{t.questions}</legend>
        {TASKS.map((task) => (
          <label key={task}>
            <input type="checkbox" checked={tasks.value.includes(task)} onClick={() => toggle(task)} />
            {t.tasks[task]}
          </label>
        ))}
      </fieldset>
      <label>
        {t.speakers}
        <input
          type="number"
          min="1"
          max="20"
          placeholder={t.speakersAuto}
          value={speakers.value ?? ""}
          onInput={(event) => (speakers.value = Number(event.currentTarget.value) || null)}
        />
      </label>
    </details>
  );
}

function List() {
  return (
    <nav aria-label={t.recordings}>
      <ul class="list">
        {recordings.value.map((one) => (
          <li key={one.id} class={one.status.value}>
            <button aria-pressed={selected.value === one} onClick={() => (selected.value = one)}>
              <span class="name">{one.file.name}</span>
              <span class="quiet">{t.status[one.status.value]}</span>
            </button>
            <button class="icon" aria-label={t.remove(one.file.name)} onClick={() => remove(one)}>
              ×
            </button>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Shown({ recording }: { recording: Recording }) {
  const status = recording.status.value;
  const answer = recording.answer.value;
  return (
    <article aria-label={recording.file.name} aria-busy={status === "running"}>
      <div class="title">
        <h2>{recording.file.name}</h2>
        {answer.audio_duration !== undefined && <span class="quiet mono">{clock(answer.audio_duration)}</span>}
        {(status === "running" || status === "waiting") && (
          <button class="button" onClick={() => recording.stop()}>
            {t.stop}
          </button>
        )}
        {(status === "stopped" || status === "failed") && (
          <button class="button" onClick={() => recording.again()}>
            {t.again}
          </button>
        )}
      </div>
      {status === "running" && <Running recording={recording} />}
      {status === "stopped" && <p class="banner">{t.stopped}</p>}
      <Problems problems={recording.problems.value} />
      <Timeline recording={recording} />
      <Cards recording={recording} />
      {status === "done" && <Exports recording={recording} />}
    </article>
  );
}

/** How far the server is: the mean over the tasks, and each of those that take long in seconds of audio. */
function Running({ recording }: { recording: Recording }) {
  const parts = useComputed(() => Object.entries(recording.progress.value));
  const share = useComputed(() => {
    const done = recording.tasks.map((task) => {
      if (recording.answer.value[task]) return 1;
      const progress = recording.progress.value[task];
      return progress ? progress.done_s / progress.audio_s : 0;
    });
    return done.reduce((sum, one) => sum + one, 0) / done.length;
  });
  const known = share.value > 0;
  return (
    <div class="running">
      <progress aria-label={t.working} max={1} value={known ? share.value : undefined} />
      <p class="quiet" aria-live="polite">
        {known ? t.working : t.sending}
        {known && ` (${Math.floor(share.value * 10)}0 %)`}
      </p>
      <ul class="quiet mono">
        {parts.value.map(([task, { done_s, audio_s }]) => (
          <li key={task}>{t.progress(t.tasks[task as Task], clock(done_s), clock(audio_s))}</li>
        ))}
      </ul>
    </div>
  );
}
