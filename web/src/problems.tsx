/** What went wrong, in the words of the server, with the id that its log has. */
import type { Problem } from "./api";
import { t } from "./strings";

export function Problems({ problems }: { problems: Problem[] }) {
  return (
    <>
      {problems.map((problem) => (
        <div class="banner bad" role="alert">
          <p>{problem.message}</p>
          {problem.requestId && <p class="quiet mono">{t.requestId(problem.requestId)}</p>}
        </div>
      ))}
    </>
  );
}
