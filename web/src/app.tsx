/** The frame of the page: header, banners, and the view that the address names. */
import { signal, useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { asking, checkHealth, health, keyWanted, lost, ROOT, useKey } from "./api";
import { Compare } from "./compare";
import { Listen } from "./listen";
import { People } from "./people-view";
import { announcement } from "./recordings";
import { t } from "./strings";

const VIEWS = ["listen", "compare", "people"] as const;
type View = (typeof VIEWS)[number];
const named = (): View => VIEWS.find((view) => location.hash === `#${view}`) ?? "listen";
const view = signal(named());
/** Whether there is documentation: the server takes the element away where it is switched off. */
const hasDocs = document.querySelector("meta[name=docs]") !== null;
window.addEventListener("hashchange", () => {
  view.value = named();
});

export function App() {
  useEffect(() => void checkHealth(), []);
  useSignalEffect(() => {
    document.title = `${t.views[view.value]} · ${t.name}`;
  });
  return (
    <>
      <a class="skip" href="#main" onClick={focusMain}>
        {t.skip}
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        {lost.value && (
          <p class="banner bad" role="alert">
            {t.lost}
          </p>
        )}
        {keyWanted.value && <Key />}
        <Checkpoints />
        {/* All views stay, so that a change between them loses nothing. */}
        <div hidden={view.value !== "listen"}>
          <Listen />
        </div>
        <div hidden={view.value !== "compare"}>
          <Compare />
        </div>
        <div hidden={view.value !== "people"}>
          <People shown={view.value === "people"} />
        </div>
      </main>
      <p class="unseen" role="status">
        {announcement}
      </p>
    </>
  );
}

function focusMain(event: Event): void {
  event.preventDefault();
  document.getElementById("main")!.focus();
}

function Header() {
  const link = (name: View) => (
    <a href={`#${name}`} aria-current={view.value === name ? "page" : undefined}>
      {t.views[name]}
    </a>
  );
  return (
    <header class="top">
      <span class="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M6 14v4M13 8v16M20 12v8M27 5v22" />
        </svg>
        {t.name}
      </span>
      <nav aria-label={t.name}>
        {link("listen")}
        {link("compare")}
        {link("people")}
        {hasDocs && <a href={`${ROOT}docs`}>{t.views.docs}</a>}
      </nav>
    </header>
  );
}

function Key() {
  const save = (event: SubmitEvent) => {
    event.preventDefault();
    useKey(String(new FormData(event.currentTarget as HTMLFormElement).get("key")));
  };
  return (
    <form class="banner" onSubmit={save}>
      <label for="key">{t.keyWanted}</label>
      <span class="row">
        <input id="key" name="key" type="password" autocomplete="off" required aria-label={t.key} />
        <button class="button">{t.keySave}</button>
      </span>
    </form>
  );
}

/** Which checkpoints answer, and what they are good for. */
function Checkpoints() {
  const answer = health.value;
  // The place is kept while the server is asked, so that nothing moves when it answers.
  if (!answer) return asking.value ? <p class="checkpoints banner">{t.asking}</p> : null;
  const kind = answer.checkpoints in t.checkpoints ? answer.checkpoints : "mixed";
  const failed = Object.keys(answer.failed);
  return (
    <section class="checkpoints banner" aria-label={t.models}>
      <p>
        <strong>{t.checkpoints[kind]}</strong> {t.goodFor[kind]}
        {failed.length > 0 && <span class="bad"> {t.unavailable(failed.join(", "))}</span>}
      </p>
      <details>
        <summary>{t.models}</summary>
        {answer.notice && <p>{answer.notice}</p>}
        <div class="scroll" tabIndex={0} role="group" aria-label={t.models}>
          <table>
            <thead>
              <tr>
                {t.modelColumns.map((column) => (
                  <th scope="col">{column}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {Object.entries(answer.models).map(([key, model]) => (
                <tr key={key}>
                  <th scope="row">{key}</th>
                  <td>{model.hub_id}</td>
                  <td>{model.source}</td>
                  <td>{model.device}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <p class="quiet">
          {t.name} {answer.version}
        </p>
      </details>
    </section>
  );
}
