// The page: state in the URL, queries, and what is shown of their answers.

import { ApiError, buildInfo, instantQuery, labelValues, metadata, rangeQuery } from "./api.js";
import { Chart } from "./chart.js";
import { Editor } from "./completion.js";
import { commonLabels, count, dateTime, durationText, el, parseDuration, seriesParts, seriesText } from "./format.js";

const RANGES = ["5m", "15m", "1h", "6h", "24h", "7d"];
const FIRST_QUERIES = [
  ["mytsdb_engine_samples_stored_total", "rate(mytsdb_engine_samples_stored_total[1m])"],
  ["mytsdb_http_requests_total", "sum by (handler) (rate(mytsdb_http_requests_total[1m]))"],
  ["process_resident_memory_bytes", "process_resident_memory_bytes"],
];
const ROWS_MAX = 2000;
const METRICS_SHOWN_MAX = 500;
const $ = (id) => document.getElementById(id);

const state = { query: "", range: "1h", end: null, step: "", tab: "graph", refresh: 0 };
let names = [];
let families = {};
let running = null;
let timer = null;

const chart = new Chart($("chart"), $("legend"), (from, to) => {
  state.range = durationText(Math.max(1, to - from));
  state.end = Math.round(to * 1000) / 1000;
  go();
});
const editor = new Editor({
  input: $("query"), highlight: $("highlight"), list: $("completions"),
  run: () => submit(), metrics: () => names, kindOf: (name) => kindOf(name),
});

// ---- state and URL

function readUrl() {
  const params = new URLSearchParams(location.search);
  state.query = params.get("q") ?? "";
  state.range = parseDuration(params.get("range") ?? "") > 0 ? params.get("range") : "1h";
  const end = Number(params.get("end"));
  state.end = params.has("end") && Number.isFinite(end) && end > 0 ? end : null;
  state.step = parseDuration(params.get("step") ?? "") > 0 ? params.get("step") : "";
  state.tab = params.get("tab") === "table" ? "table" : "graph";
  const refresh = Number(params.get("refresh"));
  state.refresh = [...$("refresh").options].some((o) => Number(o.value) === refresh) ? refresh : 0;
}

function url() {
  const params = new URLSearchParams();
  if (state.query) params.set("q", state.query);
  params.set("range", state.range);
  if (state.end !== null) params.set("end", state.end);
  if (state.step) params.set("step", state.step);
  if (state.tab !== "graph") params.set("tab", state.tab);
  if (state.refresh) params.set("refresh", state.refresh);
  return `${location.pathname}?${params}`;
}

/** Shows the state in the controls, puts it into the URL and runs the query. */
function go({ push = true } = {}) {
  showControls();
  const target = url();
  if (push && target !== location.pathname + location.search) history.pushState(null, "", target);
  else history.replaceState(null, "", target);
  document.title = state.query ? `${state.query.replace(/\s+/g, " ")} · mytsdb` : "mytsdb";
  schedule();
  return run();
}

function showControls() {
  for (const button of $("ranges").children) button.setAttribute("aria-pressed", String(button.dataset.range === state.range));
  for (const tab of ["graph", "table"]) {
    $(`tab-${tab}`).setAttribute("aria-selected", String(state.tab === tab));
    $(`tab-${tab}`).tabIndex = state.tab === tab ? 0 : -1;
  }
  $("now").setAttribute("aria-pressed", String(state.end === null));
  $("now").title = state.end === null ? "The graph ends now" : "The graph ends here; click to go back to now";
  $("now").textContent = state.end === null ? "Now" : dateTime(state.end);
  $("step").value = state.step;
  $("refresh").value = String(state.refresh);
  if (editor.value !== state.query) editor.value = state.query;
  for (const button of $("metric-list").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(state.query.includes(button.dataset.name)));
  }
}

function schedule() {
  clearInterval(timer);
  timer = state.refresh ? setInterval(() => { if (!document.hidden && !running) run({ quiet: true }); }, state.refresh * 1000) : null;
}

// ---- running queries

function submit() {
  state.query = editor.value.trim();
  if (state.query) editor.remember(state.query);
  go();
}

/** About one point for three pixels, a whole number of seconds, never above the server's 11,000 points. */
function stepSeconds(range) {
  const given = parseDuration(state.step);
  if (given > 0) return Math.max(given, range / 11000);
  const wanted = range / Math.max(120, Math.min(500, ($("chart").clientWidth || 900) / 3));
  const nice = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14400, 28800, 86400];
  return nice.find((n) => n >= wanted) ?? Math.ceil(wanted / 86400) * 86400;
}

async function run({ quiet = false } = {}) {
  running?.abort();
  if (!state.query) {
    $("messages").replaceChildren();
    $("stats").textContent = "";
    return showEmpty();
  }
  const mine = (running = new AbortController());
  showHint();
  $("run").classList.add("busy");
  if (!quiet) $("chart").classList.add("stale");
  const began = performance.now();
  try {
    const end = state.end ?? Date.now() / 1000;
    const shown = state.tab === "graph" ? await graph(end, mine.signal) : await table(end, mine.signal);
    if (mine.signal.aborted) return;
    remarks(shown.answer);
    stats(shown, performance.now() - began);
    health(true);
  } catch (error) {
    if (error.name === "AbortError") return;
    failed(error);
  } finally {
    if (running === mine) {
      running = null;
      $("run").classList.remove("busy");
      $("chart").classList.remove("stale");
    }
  }
}

async function graph(now, signal) {
  const range = parseDuration(state.range);
  const step = stepSeconds(range);
  // On the step's own grid, so that a refresh moves the picture and does not reshape it.
  const end = Math.floor(now / step) * step;
  const start = end - Math.floor(range / step) * step;
  const answer = await rangeQuery(state.query, start, end, step, signal);
  $("view-graph").hidden = false;
  $("view-table").hidden = true;
  chart.show(answer.data.result, start, end, step);
  const points = answer.data.result.reduce((n, s) => n + (s.values?.length ?? 0) + (s.histograms?.length ?? 0), 0);
  return { answer, series: answer.data.result.length, points, step };
}

async function table(time, signal) {
  const answer = await instantQuery(state.query, time, signal);
  const { resultType, result } = answer.data;
  $("view-graph").hidden = true;
  $("view-table").hidden = false;
  const rows = resultType === "vector" || resultType === "matrix" ? result : [{ metric: {}, value: result }];
  $("table").replaceChildren(rows.length ? tableOf(rows) : el("p", { class: "table-note" }, "Nothing at this time."));
  const points = rows.reduce((n, r) => n + (r.values?.length ?? 0) + (r.histograms?.length ?? 0) + (r.value || r.histogram ? 1 : 0), 0);
  return { answer, series: rows.length, points };
}

function tableOf(rows) {
  const hidden = commonLabels(rows.map((r) => r.metric));
  hidden.delete("__name__");
  const hide = (metric) => (Object.keys(metric).some((key) => !hidden.has(key)) ? hidden : undefined);
  const more = rows.length > ROWS_MAX ? el("p", { class: "table-note" }, `${count(rows.length - ROWS_MAX, "more row")} not shown.`) : null;
  const body = rows.slice(0, ROWS_MAX).map((row) => el("tr", {},
    el("td", {}, el("span", { class: "series", title: seriesText(row.metric) }, ...seriesParts(row.metric, hide(row.metric)))),
    el("td", { class: "num" }, ...values(row))));
  const common = seriesText(Object.fromEntries([...hidden].map((key) => [key, rows[0].metric[key]])));
  const head = el("tr", {}, el("th", { class: "plain", scope: "col" }, hidden.size ? `Series, all with ${common}` : "Series"),
    el("th", { class: "plain num", scope: "col" }, "Value"));
  const wrap = document.createDocumentFragment();
  wrap.append(el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
  if (more) wrap.append(more);
  return wrap;
}

function values(row) {
  if (row.value) return [row.value[1]];
  const histogramText = ([, h]) => `count ${h.count}, sum ${h.sum}`;
  if (row.histogram) return [histogramText(row.histogram)];
  const lines = [...(row.values ?? []).map(([t, v]) => [t, v]), ...(row.histograms ?? []).map((p) => [p[0], histogramText(p)])];
  return lines.slice(0, 200).map(([t, v]) => el("div", {}, `${v} @ ${dateTime(t)}`));
}

function stats({ answer, series, points, step }, ms) {
  const inside = answer.data.stats?.timings?.evalTotalTime;
  const read = answer.data.stats?.samples?.samplesRead;
  $("stats").textContent = [
    count(series, "series", "series"), count(points, "point"), step && `step ${durationText(step)}`,
    read && `${count(read, "sample")} read`,
    inside !== undefined && `${(inside * 1000).toFixed(inside < 0.01 ? 2 : 0)} ms in the server`, `${Math.round(ms)} ms in all`,
  ].filter(Boolean).join("  ·  ");
}

function remarks(answer) {
  const message = (kind) => (text) => el("div", { class: `message ${kind}` }, text);
  $("messages").replaceChildren(...(answer.warnings ?? []).map(message("warning")), ...(answer.infos ?? []).map(message("info")));
}

function failed(error) {
  if (!(error instanceof ApiError)) console.error(error);
  if (error.type === "network" || error.type === "unavailable") health(false, error.message);
  const at = /(\d+):(\d+): parse error: (.*)/s.exec(error.message);
  const box = el("div", { class: "message error", role: "alert" }, el("strong", {}, `${heading(error)} `), at ? at[3] : error.message);
  if (at) {
    const [line, column] = [Number(at[1]), Number(at[2])];
    editor.markError(line, column);
    const text = state.query.split("\n")[line - 1] ?? "";
    box.append(el("pre", {}, `${text}\n${" ".repeat(Math.max(0, Math.min(column - 1, text.length)))}^ line ${line}, column ${column}`));
  }
  $("messages").replaceChildren(box);
  $("stats").textContent = "";
  chart.clear();
  $("table").replaceChildren();
  $("view-graph").hidden = true;
  $("view-table").hidden = true;
}

function heading(error) {
  return { bad_data: "The query is not valid:", execution: "The query failed:", timeout: "The query took too long:", network: "No connection.", unavailable: "Not available." }[error.type] ?? "Error:";
}

// ---- metrics panel

function kindOf(name) {
  return (families[name] ?? families[name.replace(/_(bucket|sum|count)$/, "")])?.[0]?.type ?? "";
}

/** What is worth seeing of a metric at first sight. */
function firstLook(name) {
  const kind = kindOf(name);
  const selector = /^[a-zA-Z_:][\w:]*$/.test(name) ? name : `{${JSON.stringify(name)}}`;
  if (name.endsWith("_bucket") && kind !== "gauge") return `histogram_quantile(0.95, sum by (le) (rate(${selector}[5m])))`;
  if (kind === "counter" || /_(total|sum|count)$/.test(name)) return `rate(${selector}[5m])`;
  return selector;
}

/** The name, with places where a line may break. */
const breakable = (name) => name.split(/(?<=_)(?=[^_])/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));

function showMetrics() {
  const wanted = $("metric-filter").value.trim().toLowerCase();
  const words = wanted.split(/\s+/).filter(Boolean);
  const matching = names.filter((name) => words.every((word) => name.toLowerCase().includes(word)));
  $("metric-list").replaceChildren(...matching.slice(0, METRICS_SHOWN_MAX).map((name) => {
    const kind = kindOf(name);
    const help = (families[name] ?? families[name.replace(/_(bucket|sum|count)$/, "")])?.[0]?.help;
    return el("li", {}, el("button", {
      type: "button", "data-name": name, title: help || name, "aria-current": String(state.query.includes(name)),
      onclick: () => { editor.value = firstLook(name); submit(); },
    }, kind && el("span", { class: "kind" }, kind), ...breakable(name)));
  }));
  $("metric-note").textContent = names.length === 0 ? "No metrics yet."
    : matching.length > METRICS_SHOWN_MAX ? `${METRICS_SHOWN_MAX} of ${count(matching.length, "metric")}; filter to see others.`
    : matching.length === names.length ? count(names.length, "metric") : `${matching.length} of ${count(names.length, "metric")}`;
}

async function loadMetrics() {
  try {
    const since = { start: Math.floor(Date.now() / 1000 - 86400), limit: 50000 };
    [names, families] = await Promise.all([labelValues("__name__", since), metadata()]);
    if (names.length === 0) names = await labelValues("__name__", { limit: 50000 });
    health(true);
  } catch (error) {
    health(false, error.message);
  }
  showMetrics();
}

// ---- empty page

/** How to send metrics here. */
function collectorHelp() {
  const host = location.hostname.includes(":") ? `[${location.hostname}]` : location.hostname;
  const port = document.querySelector('meta[name="otlp-grpc-port"]').content;
  const yaml = `exporters:\n  otlp/mytsdb:\n    endpoint: ${host || "localhost"}:${port}\n    tls: { insecure: true }\n\nservice:\n  pipelines:\n    metrics:\n      exporters: [otlp/mytsdb]\n`;
  return [el("p", {}, "Point an OpenTelemetry Collector, or any OTLP/gRPC exporter, at this server:"), el("pre", {}, yaml),
    el("p", {}, "Metrics show up here within seconds. The port is the one this server takes OTLP/gRPC on.")];
}

/** Below the picture of the server's own metrics, as long as there are no others. */
function showHint() {
  const onlyOwn = names.length > 0 && names.every((name) => /^(mytsdb|process)_/.test(name));
  $("empty").hidden = !onlyOwn;
  if (onlyOwn) $("empty").replaceChildren(el("h2", {}, "So far there are only this server's own metrics"), ...collectorHelp());
}

function showEmpty() {
  $("view-graph").hidden = true;
  $("view-table").hidden = true;
  const example = (query) => el("li", {}, el("button", { type: "button", class: "linkish", onclick: () => { editor.value = query; submit(); } }, query));
  const content = names.length === 0
    ? [el("h2", {}, "No metrics have arrived yet"), ...collectorHelp()]
    : [el("h2", {}, "What would you like to see?"), el("p", {}, `${count(names.length, "metric")} here. Pick one from the list, type a query, or start from one of these:`),
      el("ul", {}, ...[...FIRST_QUERIES.filter(([name]) => names.includes(name)).map(([, q]) => q), ...names.filter((n) => !n.startsWith("mytsdb_")).slice(0, 3).map(firstLook), "topk(10, count by (__name__) ({__name__!=\"\"}))"].map(example))];
  $("empty").replaceChildren(...content);
  $("empty").hidden = false;
}

function health(ok, text) {
  $("health").className = `health ${ok ? "ok" : "bad"}`;
  $("health").textContent = ok ? "ready" : (text ?? "not available");
}

// ---- wiring

for (const range of RANGES) {
  $("ranges").append(el("button", { type: "button", "data-range": range, onclick: () => { state.range = range; go(); } }, range));
}
$("form").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
for (const tab of ["graph", "table"]) $(`tab-${tab}`).addEventListener("click", () => { state.tab = tab; go(); });
$("tabs").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  state.tab = state.tab === "graph" ? "table" : "graph";
  $(`tab-${state.tab}`).focus();
  go();
});
const shift = (sign) => {
  const range = parseDuration(state.range);
  const end = Math.round((state.end ?? Date.now() / 1000) + (sign * range) / 2);
  state.end = end >= Date.now() / 1000 ? null : end;
  go();
};
$("earlier").addEventListener("click", () => shift(-1));
$("later").addEventListener("click", () => shift(1));
$("now").addEventListener("click", () => { state.end = null; go(); });
$("step").addEventListener("change", () => {
  const text = $("step").value.trim();
  state.step = parseDuration(text) > 0 ? text : "";
  go();
});
$("refresh").addEventListener("change", () => { state.refresh = Number($("refresh").value); go(); });
$("metric-filter").addEventListener("input", showMetrics);
$("panel-toggle").addEventListener("click", () => {
  const closed = document.querySelector(".layout").classList.toggle("closed");
  $("panel-toggle").setAttribute("aria-expanded", String(!closed));
  chart.resize();
});
$("share").addEventListener("click", async () => {
  // A link that shows the same picture later: with its end fixed.
  const fixed = new URL(location.href);
  if (state.query && state.end === null) fixed.searchParams.set("end", Math.round(Date.now() / 1000));
  try {
    await navigator.clipboard.writeText(fixed.href);
    $("share").textContent = "Copied";
  } catch {
    $("share").textContent = "Copy it from the address bar";
    history.replaceState(null, "", fixed);
  }
  setTimeout(() => { $("share").textContent = "Copy link"; }, 2000);
});
addEventListener("popstate", () => { readUrl(); go({ push: false }); });

/** On a first visit, the server's own metrics make a first picture as soon as there are any. */
function firstPicture() {
  state.query = FIRST_QUERIES.find(([name]) => names.includes(name))?.[1] ?? "";
  if (state.query) { state.range = "5m"; state.refresh = 5; }
}

async function waitForMetrics(firstVisit) {
  while (names.length === 0) {
    await new Promise((done) => { setTimeout(done, 3000); });
    if (!document.hidden) await loadMetrics();
  }
  if (state.query) return;
  if (firstVisit) firstPicture();
  go({ push: false });
}

if (matchMedia("(max-width: 860px)").matches) $("panel-toggle").click();
readUrl();
showControls();
const firstVisit = !state.query && !new URLSearchParams(location.search).has("range");
await loadMetrics();
if (firstVisit) firstPicture();
go({ push: false });
if (names.length === 0) waitForMetrics(firstVisit);
buildInfo().then((info) => { $("health").title = `API of Prometheus ${info.version}, ${info.branch} ${info.revision}`; }).catch(() => {});
setInterval(() => { if (!document.hidden) loadMetrics(); }, 60000);
