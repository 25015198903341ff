/** The answers that have no time: language, accent, the verdict on generation, and the recording itself. */
import type { ComponentChildren } from "preact";
import type { DeepfakeAnswer, QualityAnswer } from "./api";
import type { Recording } from "./recordings";
import { t } from "./strings";
import { clock, percent } from "./text";

const MOST = 5;
/** Probability below which an answer is not worth a bar, unless it is one of the first two. */
const LEAST = 0.001;

export function Cards({ recording }: { recording: Recording }) {
  const { language, accent, deepfake, quality } = recording.answer.value;
  const names = new Intl.DisplayNames("en", { type: "language", fallback: "code" });
  return (
    <div class="cards">
      {language && (
        <Card title={t.language} calibrated={language.calibrated} uncertain={language.uncertain}>
          <Bars probabilities={language.probabilities} name={(code) => languageName(names, code)} />
          {language.warning && <p class="note">{language.warning}</p>}
        </Card>
      )}
      {accent && (
        <Card title={t.accent} calibrated={accent.calibrated} uncertain={accent.uncertain}>
          <Bars probabilities={accent.probabilities} name={titled} />
          {accent.warning && <p class="note">{accent.warning}</p>}
        </Card>
      )}
      {deepfake && <Verdict deepfake={deepfake} />}
      {quality && <Quality quality={quality} />}
    </div>
  );
}

interface CardProps {
  title: string;
  calibrated?: boolean;
  uncertain?: boolean;
  children: ComponentChildren;
}

function Card({ title, calibrated, uncertain, children }: CardProps) {
  return (
    <section class="card">
      <h3>
        {title}
        {uncertain && <span class="badge warn">{t.uncertain}</span>}
        {calibrated !== undefined && <span class="badge">{calibrated ? t.calibrated : t.ranks}</span>}
      </h3>
      {children}
      {calibrated !== undefined && <p class="quiet">{calibrated ? t.calibratedHint : t.ranksHint}</p>}
    </section>
  );
}

function Bars({ probabilities, name }: { probabilities: Record<string, number>; name: (key: string) => string }) {
  const most = Object.entries(probabilities)
    .sort(([, one], [, other]) => other - one)
    .slice(0, MOST)
    .filter(([, probability], place) => place < 2 || probability >= LEAST);
  return (
    <ol class="bars">
      {most.map(([key, probability]) => (
        <li key={key}>
          <span>{name(key)}</span>
          <span class="mono">{percent(probability)}</span>
          <i aria-hidden="true">
            <b style={{ width: `${100 * probability}%` }} />
          </i>
        </li>
      ))}
    </ol>
  );
}

function Verdict({ deepfake }: { deepfake: DeepfakeAnswer }) {
  const { ai_generated_chunks: generated, total_chunks: total } = deepfake.summary;
  return (
    <Card title={t.deepfake}>
      <p class={`verdict ${deepfake.verdict}`}>
        <i class={`sign ${deepfake.verdict}`} aria-hidden="true" />
        {t.verdictSentences[deepfake.verdict]}
      </p>
      <p>{t.chunks(generated, total)}</p>
      {deepfake.advice && <p class="note">{deepfake.advice}</p>}
    </Card>
  );
}

function Quality({ quality }: { quality: QualityAnswer }) {
  const facts: [string, string | null][] = [
    [t.facts.duration, clock(quality.duration_s, 1)],
    [t.facts.speech, quality.speech_s == null ? null : clock(quality.speech_s, 1)],
    [t.facts.snr, quality.snr_db == null ? null : `${Math.round(quality.snr_db)} dB`],
    [t.facts.bandwidth, quality.bandwidth_hz == null ? null : `${(quality.bandwidth_hz / 1000).toFixed(1)} kHz`],
    [t.facts.clipped, quality.clipped_ratio ? percent(quality.clipped_ratio) : null],
    [t.facts.missing, quality.missing_s ? `${quality.missing_s.toFixed(1)} s` : null],
    [t.facts.damaged, quality.damaged_s ? `${quality.damaged_s.toFixed(1)} s` : null],
    [t.facts.format, `${quality.sample_rate / 1000} kHz, ${channels(quality)}`],
  ];
  return (
    <Card title={t.quality}>
      {quality.warnings.map((warning) => (
        <p class="note">{warning}</p>
      ))}
      {!quality.warnings.length && <p>{t.qualityGood}</p>}
      <dl class="facts">
        {facts.map(
          ([name, value]) =>
            value !== null && (
              <div key={name}>
                <dt>{name}</dt>
                <dd class="mono">{value}</dd>
              </div>
            ),
        )}
      </dl>
    </Card>
  );
}

function channels({ channels, channels_mixed }: QualityAnswer): string {
  return channels === 1 ? t.mono : t.channels(channels, channels_mixed ?? "");
}

/** The name of a language by its code; the server's codes are ISO 639 but for a few. */
function languageName(names: Intl.DisplayNames, code: string): string {
  try {
    return titled(names.of(code) ?? code);
  } catch {
    return code;
  }
}

function titled(name: string): string {
  const short: Record<string, string> = { us: "United States", england: "England" };
  return short[name] ?? name.charAt(0).toUpperCase() + name.slice(1);
}
