// The graph: a matrix as lines, a tooltip at the nearest line, and a legend that sorts and isolates.

import { commonLabels, count, dateTime, el, seriesParts, seriesText, shortNumber } from "./format.js";

/** Lines drawn at once; a screen does not tell more apart, and the legend says how many are left out. */
const SERIES_MAX = 250;
const HEIGHT = 360;
const COLORS = {
  light: ["#0f766e", "#c2410c", "#4f46e5", "#b4235f", "#4d7c0f", "#0369a1", "#a16207", "#7e22ce", "#be123c", "#15803d", "#1d4ed8", "#78716c"],
  dark: ["#2dd4bf", "#fb923c", "#a5a1ff", "#f472b6", "#a3e635", "#38bdf8", "#facc15", "#d8a4ff", "#fb7185", "#4ade80", "#7fa7ff", "#b8b1aa"],
};
const darkQuery = matchMedia("(prefers-color-scheme: dark)");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// uPlot's templates: [smallest step between ticks, text, text where the year, (month,) day changes, …, mode].
const day = "\n{DD} {MMM}";
const TIME_TEXTS = [
  [31536000, "{YYYY}", null, null, null, null, null, null, 1],
  [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{DD} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", `${day} {YYYY}`, null, day, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", `${day} {YYYY}`, null, day, null, null, null, 1],
  [0.001, ":{ss}.{fff}", `${day} {HH}:{mm}`, null, `${day} {HH}:{mm}`, null, "\n{HH}:{mm}", null, 1],
];

export class Chart {
  /** `onZoom(start, end)` is called with seconds when the user drags over a part of the graph. */
  constructor(root, legendRoot, onZoom) {
    this.root = root;
    this.legendRoot = legendRoot;
    this.onZoom = onZoom;
    this.sort = { key: "max", descending: true };
    this.isolated = null;
    this.hidden = new Set();
    new ResizeObserver(() => this.resize()).observe(root);
    darkQuery.addEventListener("change", () => this.draw());
  }

  clear() {
    this.series = [];
    this.plot?.destroy();
    this.plot = null;
    this.root.replaceChildren();
    this.legendRoot.replaceChildren();
  }

  show(matrix, start, end, step) {
    const keep = new Set(this.isolated === null ? [] : [this.isolated]);
    this.window = { start, end, step };
    const steps = Math.floor((end - start) / step + 1e-6) + 1;
    this.times = Array.from({ length: steps }, (_, i) => start + i * step);
    this.total = matrix.length;
    this.histograms = matrix.filter((s) => !s.values && s.histograms).length;
    this.series = matrix.filter((s) => s.values).slice(0, SERIES_MAX).map((s, i) => this.column(s, i, steps));
    // What was isolated or hidden stays so across refreshes.
    const names = new Set(this.series.map((s) => s.name));
    if (![...keep].every((name) => names.has(name))) this.isolated = null;
    this.common = commonLabels(this.series.map((s) => s.metric));
    this.draw();
  }

  column(series, index, steps) {
    const { start, step } = this.window;
    const column = new Array(steps).fill(null);
    let min = Infinity, max = -Infinity, sum = 0, finite = 0, last = null;
    for (const [time, text] of series.values) {
      const value = Number(text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : text);
      last = value;
      if (!Number.isFinite(value)) continue;
      column[Math.round((time - start) / step)] = value;
      min = Math.min(min, value);
      max = Math.max(max, value);
      sum += value;
      finite += 1;
    }
    const none = finite === 0;
    return { metric: series.metric, name: seriesText(series.metric), index, column, last, min: none ? null : min, max: none ? null : max, mean: none ? null : sum / finite };
  }

  visible(series) {
    return this.isolated !== null ? series.name === this.isolated : !this.hidden.has(series.name);
  }

  color(index) {
    const palette = darkQuery.matches ? COLORS.dark : COLORS.light;
    return palette[index % palette.length];
  }

  draw() {
    if (!this.series) return;
    this.plot?.destroy();
    this.plot = null;
    this.root.replaceChildren();
    if (this.series.length === 0) {
      const text = this.histograms ? "Native histograms are shown in the table." : "Nothing in this time range.";
      this.root.append(el("div", { class: "none" }, this.total === 0 ? "Nothing in this time range." : text));
      this.legendRoot.replaceChildren();
      return;
    }
    const axis = { stroke: css("--dim"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
    const few = this.series.length <= 3;
    const single = this.times.length === 1;
    const options = {
      width: this.root.clientWidth, height: HEIGHT, padding: [10, 14, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, focus: { prox: 30 }, points: { size: 8 } },
      focus: { alpha: few ? 1 : 0.25 },
      legend: { show: false },
      scales: { x: { time: true, range: single ? undefined : () => [this.window.start, this.window.end] }, y: { range: yRange } },
      axes: [
        { ...axis, values: TIME_TEXTS, space: 70 },
        { ...axis, size: 66, values: (_, ticks) => ticks.map(shortNumber) },
      ],
      series: [{}, ...this.series.map((s) => ({
        label: s.name, stroke: this.color(s.index), width: 1.6, show: this.visible(s), spanGaps: false,
        fill: this.series.length === 1 ? `${this.color(s.index)}1f` : undefined,
        points: { show: lonelyPoints, size: 5 },
      }))],
      hooks: {
        setCursor: [(plot) => this.tooltip(plot)],
        setSelect: [(plot) => this.select(plot)],
      },
    };
    this.plot = new window.uPlot(options, [this.times, ...this.series.map((s) => s.column)], this.root);
    this.tip = el("div", { class: "tooltip", hidden: true });
    this.plot.over.append(this.tip);
    this.plot.over.addEventListener("mouseleave", () => { this.tip.hidden = true; });
    this.root.setAttribute("role", "img");
    this.root.setAttribute("aria-label", `Graph of ${count(this.series.length, "series", "series")}; the legend below has the figures.`);
    this.legend();
  }

  select(plot) {
    const { left, width } = plot.select;
    if (width > 6) {
      const from = plot.posToVal(left, "x");
      const to = plot.posToVal(left + width, "x");
      plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      this.onZoom(from, to);
    }
  }

  tooltip(plot) {
    const { left, top, idx } = plot.cursor;
    if (idx === null || idx === undefined || left < 0) {
      this.tip.hidden = true;
      return;
    }
    let best = null;
    for (const [i, series] of this.series.entries()) {
      const value = plot.series[i + 1].show ? series.column[idx] : null;
      if (value === null) continue;
      const distance = Math.abs(plot.valToPos(value, "y") - top);
      if (best === null || distance < best.distance) best = { distance, series, value };
    }
    if (best === null) {
      this.tip.hidden = true;
      return;
    }
    this.tip.replaceChildren(
      el("div", { class: "when" }, dateTime(this.times[idx])),
      el("div", { class: "value" }, shortNumber(best.value)),
      el("div", { class: "what" }, this.swatch(best.series), el("span", {}, seriesText(best.series.metric))),
    );
    this.tip.hidden = false;
    const width = this.tip.offsetWidth;
    const right = left + width + 24 > plot.over.clientWidth;
    this.tip.style.left = `${Math.max(0, right ? left - width - 14 : left + 14)}px`;
    this.tip.style.top = `${Math.max(0, Math.min(top + 12, plot.over.clientHeight - this.tip.offsetHeight))}px`;
  }

  swatch(series) {
    const node = el("span", { class: "swatch", "aria-hidden": "true" });
    node.style.background = this.color(series.index);
    return node;
  }

  legend() {
    const head = (key, text, numeric) => {
      const sorted = this.sort.key === key ? (this.sort.descending ? "descending" : "ascending") : undefined;
      return el("th", { class: numeric ? "num" : undefined, "aria-sort": sorted, scope: "col" },
        el("button", { type: "button", onclick: () => this.sortBy(key) }, text));
    };
    const rows = this.sorted().map((s) => el("tr", { class: this.visible(s) ? undefined : "off" },
      el("td", {}, el("button", { class: "series", type: "button", title: `${s.name}\nClick: only this one. Ctrl+click: hide or show it.`, "aria-pressed": String(this.visible(s)), onclick: (event) => this.toggle(s, event.ctrlKey || event.metaKey) },
        this.swatch(s), ...seriesParts(s.metric, this.common.size < Object.keys(s.metric).length ? this.common : undefined))),
      ...["last", "min", "mean", "max"].map((key) => el("td", { class: "num" }, shortNumber(s[key])))));
    const shown = this.series.length;
    const notes = [];
    if (this.total - this.histograms > shown) notes.push(`${count(this.total - this.histograms - shown, "more series", "more series")} not drawn`);
    if (this.histograms) notes.push(`${count(this.histograms, "native histogram")} in the table only`);
    this.legendRoot.replaceChildren(el("table", {},
      el("thead", {}, el("tr", {}, head("name", `Series (${shown}${notes.length ? `; ${notes.join("; ")}` : ""})`), head("last", "last", true), head("min", "min", true), head("mean", "mean", true), head("max", "max", true))),
      el("tbody", {}, ...rows)));
  }

  sorted() {
    const { key, descending } = this.sort;
    const sign = descending ? -1 : 1;
    const low = -Infinity;
    return [...this.series].sort((a, b) => (key === "name" ? sign * a.name.localeCompare(b.name) : sign * ((a[key] ?? low) - (b[key] ?? low))) || a.index - b.index);
  }

  sortBy(key) {
    this.sort = { key, descending: this.sort.key === key ? !this.sort.descending : key !== "name" };
    this.legend();
  }

  toggle(series, single) {
    if (single) {
      this.isolated = null;
      if (!this.hidden.delete(series.name)) this.hidden.add(series.name);
    } else {
      this.isolated = this.isolated === series.name ? null : series.name;
      this.hidden.clear();
    }
    this.series.forEach((s, i) => this.plot.setSeries(i + 1, { show: this.visible(s) }));
    this.legend();
  }

  resize() {
    if (this.plot && this.root.clientWidth > 0) this.plot.setSize({ width: this.root.clientWidth, height: HEIGHT });
  }
}

/** Room above and below, and the zero line in sight when it is near. */
function yRange(_, min, max) {
  if (min === null || min === undefined || min === max) {
    const value = min ?? 0;
    const room = value === 0 ? 1 : Math.abs(value) * 0.1;
    return value > 0 ? [Math.max(0, value - room), value + room] : [value - room, value + room];
  }
  const room = (max - min) * 0.08;
  const low = min >= 0 && min < (max - min) * 1.5 ? 0 : min - room;
  return [low, max + room];
}

/** Points are drawn only where no line would show them: single samples between gaps. */
function lonelyPoints(plot, index) {
  const column = plot.data[index];
  let lonely = 0;
  for (let i = 0; i < column.length; i++) {
    if (column[i] !== null && (column[i - 1] ?? null) === null && (column[i + 1] ?? null) === null) lonely += 1;
  }
  return lonely > 0 && lonely >= column.filter((v) => v !== null).length / 2;
}

