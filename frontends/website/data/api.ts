/**
 * The one way to the control plane: same origin, session cookie, and the header without which nothing may be changed.
 * A refusal becomes a `Problem` that carries what the server said to the person; silence becomes one, too.
 */

export const CSRF_HEADER = "Tessera-CSRF";

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly body: Record<string, unknown> = {},
  ) {
    super(detail);
  }
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export async function call<T>(method: Method, path: string, body?: unknown, more: RequestInit = {}): Promise<T> {
  const headers = new Headers(more.headers);
  if (method !== "GET") headers.set(CSRF_HEADER, "1");
  let content: BodyInit | undefined;
  if (body instanceof FormData) content = body;
  else if (body !== undefined) {
    headers.set("Content-Type", "application/json");
    content = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(path, { ...more, method, headers, body: content, credentials: "same-origin" });
  } catch (error) {
    if (more.signal?.aborted) throw error;
    throw new Problem(0, "offline", "The service cannot be reached. Nothing was changed; try again in a moment.");
  }
  if (!response.ok) throw await refusal(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function refusal(response: Response): Promise<Problem> {
  try {
    const said = (await response.json()) as Record<string, unknown>;
    const detail = String(said.detail ?? said.title ?? "That did not work.");
    return new Problem(response.status, String(said.code ?? "unknown"), detail, said);
  } catch {
    return new Problem(response.status, "unknown", "The service answered with something unexpected. Try again.");
  }
}

export const get = <T>(path: string, signal?: AbortSignal) => call<T>("GET", path, undefined, { signal });

/** Files are named with the service's public address; a page that was reached by another one asks its own origin. */
export function local(url: string): string {
  const parsed = new URL(url, "http://x");
  return /^\/(artifacts|gallery|inputs|shared)\//.test(parsed.pathname) ? parsed.pathname + parsed.search : url;
}

/** What went wrong, for a person. */
export const sentence = (error: unknown): string =>
  error instanceof Problem ? error.message : "Something in this page broke. Reload it; nothing is lost.";
