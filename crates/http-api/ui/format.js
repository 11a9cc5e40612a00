// Numbers, times, durations and series names for people; and the one way this page makes elements.

/** An element with properties and children; strings become text, never markup. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

const PREFIXES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** Four significant digits with a prefix: 12.35k. */
export function shortNumber(value) {
  if (value === null || value === undefined) return "";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  const magnitude = Math.abs(value);
  if (magnitude === 0) return "0";
  if (magnitude < 1e-4 || magnitude >= 1e18) return value.toExponential(2);
  for (const [factor, prefix] of PREFIXES) {
    if (magnitude >= factor) return trim((value / factor).toPrecision(4)) + prefix;
  }
  return trim(value.toPrecision(4));
}

const trim = (text) => (text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text);

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

const pad = (n) => String(n).padStart(2, "0");

/** Local date and time, to the second. */
export function dateTime(seconds) {
  const d = new Date(seconds * 1000);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

const UNITS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };

/** Seconds of "90", "1h30m"; NaN if it is neither. */
export function parseDuration(text) {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  if (!/^(\d+(ms|[smhdwy]))+$/.test(trimmed)) return NaN;
  return [...trimmed.matchAll(/(\d+)(ms|[smhdwy])/g)].reduce((sum, [, n, unit]) => sum + n * UNITS[unit], 0);
}

/** 90 → "1m30s". */
export function durationText(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)}ms`;
  let rest = Math.round(seconds);
  let text = "";
  for (const unit of ["d", "h", "m", "s"]) {
    const n = Math.floor(rest / UNITS[unit]);
    if (n > 0) text += `${n}${unit}`;
    rest -= n * UNITS[unit];
  }
  return text;
}

const plainName = (name) => /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name);
const quote = (text) => JSON.stringify(text);

/** `name{a="b"}` as PromQL would read it, without the labels in `hidden`. */
export function seriesText(metric, hidden = new Set()) {
  const name = hidden.has("__name__") ? "" : (metric.__name__ ?? "");
  const labels = Object.entries(metric)
    .filter(([key]) => key !== "__name__" && !hidden.has(key))
    .map(([key, value]) => `${plainName(key) ? key : quote(key)}=${quote(value)}`);
  if (name && !/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) labels.unshift(quote(name));
  else if (name && labels.length === 0) return name;
  else if (name) return `${name}{${labels.join(", ")}}`;
  return `{${labels.join(", ")}}`;
}

/** The same as elements, the metric's name standing out. */
export function seriesParts(metric, hidden) {
  const text = seriesText(metric, hidden);
  const brace = text.indexOf("{");
  if (brace < 0) return [el("span", { class: "metric" }, text)];
  return [el("span", {}, el("span", { class: "metric" }, text.slice(0, brace)), el("span", { class: "k" }, text.slice(brace)))];
}

/** Names of labels that have the same value in all series; none if there are fewer than two. */
export function commonLabels(metrics) {
  if (metrics.length < 2) return new Set();
  const first = Object.entries(metrics[0]);
  return new Set(first.filter(([key, value]) => metrics.every((m) => m[key] === value)).map(([key]) => key));
}
