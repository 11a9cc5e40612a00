// Talks to the API under ./api/v1. Every failure becomes an ApiError with a text for people.

export class ApiError extends Error {
  constructor(type, message) {
    super(message);
    this.type = type;
  }
}

async function call(path, params, signal) {
  const body = new URLSearchParams(params);
  const get = /^(label|metadata|status)/.test(path);
  const url = `api/v1/${path}${get && body.size ? `?${body}` : ""}`;
  let response;
  try {
    response = await fetch(url, get ? { signal } : { method: "POST", body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("network", "The server does not answer.");
  }
  const type = response.headers.get("content-type") ?? "";
  if (!type.startsWith("application/json")) {
    const starting = response.status === 503;
    throw new ApiError("unavailable", starting ? "The server is not ready yet." : `The server answered ${response.status}.`);
  }
  const answer = await response.json();
  if (answer.status !== "success") throw new ApiError(answer.errorType, answer.error);
  return answer;
}

export const rangeQuery = (query, start, end, step, signal) =>
  call("query_range", { query, start, end, step, stats: "true" }, signal);

export const instantQuery = (query, time, signal) => call("query", { query, time, stats: "true" }, signal);

export const labelNames = async (params) => (await call("labels", params)).data;

export const labelValues = async (name, params) =>
  (await call(`label/${encodeURIComponent(name)}/values`, params)).data;

export const metadata = async () => (await call("metadata", {})).data;

export const buildInfo = async () => (await call("status/buildinfo", {})).data;
