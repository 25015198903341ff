/** What the timeline shows, as tables: for the keyboard, for screen readers, and for reading numbers. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { ChunkAnswer, TurnAnswer } from "./api";
import type { Player } from "./player";
import type { Recording } from "./recordings";
import { t } from "./strings";
import { clock, percent } from "./text";
import { findingSpans } from "./tracks";

const ROWS = 50;

export function TurnTable({ recording, turns, player }: { recording: Recording; turns: TurnAnswer[]; player: Player }) {
  const confident = turns.some(({ confidence }) => confidence != null);
  const { speaker, start, end, length, confidence } = t.turnColumns;
  return (
    <Folded title={t.turns}>
      <Paged
        label={t.turns}
        caption={t.turnsCaption(turns.length)}
        columns={[speaker, start, end, length, ...(confident ? [confidence] : [])]}
        rows={turns}
        row={(turn) => {
          const name = recording.name(turn.speaker);
          const [from, to] = [clock(turn.start, 2), clock(turn.end, 2)];
          return (
            <>
              <th scope="row">
                <button
                  class="link"
                  aria-label={t.playTurn(name, from, to)}
                  onClick={() => player.playSpan(turn.start, turn.end)}
                >
                  ▶ {name}
                </button>
              </th>
              <td>{from}</td>
              <td>{to}</td>
              <td>{clock(turn.end - turn.start, 2)}</td>
              {confident && <td>{turn.confidence == null ? "" : percent(turn.confidence)}</td>}
            </>
          );
        }}
      />
    </Folded>
  );
}

export function SignTable({ chunks, player }: { chunks: ChunkAnswer[]; player: Player }) {
  const { start, end, verdict, probability } = t.signColumns;
  return (
    <Folded title={t.signs}>
      <Paged
        label={t.signs}
        columns={[verdict, start, end, probability]}
        rows={findingSpans(chunks)}
        row={(span) => {
          const [from, to] = [clock(span.start, 2), clock(span.end, 2)];
          const finding = t.verdicts[span.verdict];
          return (
            <>
              <th scope="row">
                <button
                  class="link"
                  aria-label={t.playTurn(finding, from, to)}
                  onClick={() => player.playSpan(span.start, span.end)}
                >
                  ▶ {finding}
                </button>
              </th>
              <td>{from}</td>
              <td>{to}</td>
              <td>{percent(span.probability)}</td>
            </>
          );
        }}
      />
    </Folded>
  );
}

/** A part of the page whose content is built when it is opened. */
function Folded({ title, children }: { title: string; children: ComponentChildren }) {
  const open = useSignal(false);
  return (
    <details class="folded" onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>{title}</summary>
      {open.value && children}
    </details>
  );
}

interface PagedProps<Row> {
  label: string;
  caption?: string;
  columns: string[];
  rows: Row[];
  row: (row: Row) => ComponentChildren;
}

function Paged<Row>({ label, caption, columns, rows, row }: PagedProps<Row>) {
  const page = useSignal(0);
  const pages = Math.ceil(rows.length / ROWS);
  const at = Math.min(page.value, pages - 1);
  return (
    <>
      <div class="scroll" tabIndex={0} role="group" aria-label={label}>
        <table>
          {caption && <caption>{caption}</caption>}
          <thead>
            <tr>
              {columns.map((column) => (
                <th scope="col">{column}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(at * ROWS, (at + 1) * ROWS).map((one, index) => (
              <tr key={index}>{row(one)}</tr>
            ))}
          </tbody>
        </table>
      </div>
      {pages > 1 && (
        <div class="row">
          <button class="button" disabled={at === 0} onClick={() => (page.value = at - 1)}>
            {t.before}
          </button>
          <span aria-live="polite">{t.page(at + 1, pages)}</span>
          <button class="button" disabled={at === pages - 1} onClick={() => (page.value = at + 1)}>
            {t.after}
          </button>
        </div>
      )}
    </>
  );
}
