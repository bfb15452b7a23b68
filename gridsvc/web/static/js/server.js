// Asks the server; every refusal becomes an Error with the problem document's words.

export class Refusal extends Error {
  constructor(problem, status) {
    super([problem.detail, problem.hint].filter(Boolean).join(" ") || `HTTP ${status}`);
    this.code = problem.code;
    this.status = status;
  }
}

/** Return what a GET of `path` with `parameters` answers; `signal` gives up waiting. */
export async function ask(path, parameters = {}, signal = undefined) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  const answer = await fetch(query ? `${path}?${query}` : path, { headers: { Accept: "application/json" }, signal });
  if (answer.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(body, answer.status);
  return body;
}
