/** Two voices side by side, and what their similarity means in words. */
import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ask, type PairComparisonAnswer, Problem } from "./api";
import { Input } from "./input";
import { Problems } from "./problems";
import { announcement } from "./recordings";
import { t } from "./strings";
import { percent, times } from "./text";

const BOUNDS = [0.01, 0.1, 0.9, 0.99];

export function Compare() {
  const first = useSignal<File | null>(null);
  const second = useSignal<File | null>(null);
  const asking = useSignal(false);
  const answer = useSignal<PairComparisonAnswer | null>(null);
  const problem = useSignal<Problem | null>(null);
  const forget = () => {
    answer.value = null;
    problem.value = null;
  };
  const compare = async () => {
    forget();
    asking.value = true;
    const body = new FormData();
    body.set("file1", first.value!);
    body.set("file2", second.value!);
    try {
      answer.value = await (await ask("v1/speaker/compare", { method: "POST", body })).json();
      announcement.value = verdictOf(answer.value!);
    } catch (error) {
      problem.value = error as Problem;
    }
    asking.value = false;
  };
  return (
    <>
      <h1>{t.compare.title}</h1>
      <p class="lead">{t.compare.lead}</p>
      <div class="pair">
        {([["first", first], ["second", second]] as const).map(([which, file]) => (
          <Voice
            key={which}
            title={t.compare[which]}
            file={file.value}
            onFile={(chosen) => {
              forget();
              file.value = chosen;
            }}
          />
        ))}
      </div>
      <button class="button main" disabled={!first.value || !second.value || asking.value} onClick={compare}>
        {asking.value ? t.compare.asking : t.compare.ask}
      </button>
      <Problems problems={problem.value ? [problem.value] : []} />
      {answer.value && <Result answer={answer.value} />}
    </>
  );
}

function Voice({ title, file, onFile }: { title: string; file: File | null; onFile: (file: File) => void }) {
  const [url, setUrl] = useState("");
  useEffect(() => {
    if (!file) return undefined;
    const made = URL.createObjectURL(file);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return (
    <section class="card" aria-label={title}>
      <h2>{title}</h2>
      <Input title={file?.name ?? t.compare.none} compact onFiles={([chosen]) => onFile(chosen!)} />
      {url && <audio controls src={url} aria-label={title} />}
    </section>
  );
}

/** The verdict in words: by the probability if there is one, else by the limit. */
function verdictOf({ probability, same_speaker }: PairComparisonAnswer): string {
  if (probability === null) return same_speaker ? t.compare.above : t.compare.below;
  return t.compare.verdicts[BOUNDS.filter((bound) => probability >= bound).length]!;
}

function Result({ answer }: { answer: PairComparisonAnswer }) {
  const { probability, prior, llr, similarity_score, threshold } = answer;
  return (
    <section class="card result">
      <h2>{verdictOf(answer)}</h2>
      {probability === null || llr === null ? (
        <p>{t.compare.uncalibrated}</p>
      ) : (
        <>
          <div class="scale" role="img" aria-label={t.compare.scale(percent(probability))}>
            <i style={{ left: `clamp(0.65rem, ${100 * probability}%, 100% - 0.65rem)` }} />
          </div>
          <p class="ends" aria-hidden="true">
            <span>{t.compare.different}</span>
            <span>{t.compare.same}</span>
          </p>
          <p>{t.compare.sure(percent(probability), percent(prior))}</p>
          <p>{t.compare.evidence(times(Math.exp(Math.abs(llr))), llr >= 0)}</p>
        </>
      )}
      {[answer.quality1, answer.quality2].map((quality, index) =>
        quality.warnings.map((warning) => (
          <p class="note">
            {index ? t.compare.second : t.compare.first}: {warning}
          </p>
        )),
      )}
      <p class="quiet mono">{t.compare.similarity(similarity_score.toFixed(3), threshold.toFixed(3))}</p>
    </section>
  );
}
