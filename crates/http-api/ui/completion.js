// The query editor: highlighting behind the text, completion at the caret, history, and the mark at an error.

import { el } from "./format.js";
import { labelNames, labelValues } from "./api.js";
import { AGGREGATIONS, FUNCTIONS } from "./functions.js";

const FUNCTION_NAMES = new Set(FUNCTIONS.map(({ name }) => name));
const KEYWORDS = "by without on ignoring group_left group_right bool offset and or unless".split(" ");
const SHOWN_MAX = 60;
const HISTORY_MAX = 100;
const HISTORY_KEY = "mytsdb.history";

const TOKEN = /(#[^\n]*)|("(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|`[^`]*`?)|((?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)(?![\w:]))|([a-zA-Z_:][\w:]*)|(\s+|.)/gy;

/** The text as [kind, text] pairs; kinds are CSS classes or "". */
function tokens(text) {
  const out = [];
  let braces = 0;
  let grouping = false;
  for (const [all, comment, string, number, word] of text.matchAll(TOKEN)) {
    let kind = "";
    if (comment) kind = "t-com";
    else if (string) kind = "t-str";
    else if (number || /^\d/.test(all)) kind = "t-num";
    else if (word) {
      if (braces > 0 || grouping) kind = "t-label";
      else if (KEYWORDS.includes(word)) kind = "t-kw";
      else if (FUNCTION_NAMES.has(word) || AGGREGATIONS.includes(word)) kind = "t-fn";
      if (/^(by|without|on|ignoring|group_left|group_right)$/.test(word) && braces === 0) grouping = "next";
    } else if (all === "{") braces += 1;
    else if (all === "}") braces = Math.max(0, braces - 1);
    else if (all === "(" && grouping === "next") grouping = true;
    else if (all === ")" && grouping === true) grouping = false;
    out.push([kind, all]);
  }
  return out;
}

/** What stands at the caret: the kind of thing to complete, where it starts, and what is there of it. */
function context(before) {
  const inString = /([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"((?:\\.|[^"\\])*)$/.exec(before);
  if (inString) return { kind: "value", label: inString[1], prefix: inString[2], matcherStart: inString.index };
  if ((before.match(/"/g) ?? []).length % 2 === 1) return null;
  const word = /[a-zA-Z_:][\w:]*$/.exec(before)?.[0] ?? "";
  const rest = before.slice(0, before.length - word.length);
  if (/\d$/.test(rest)) return null;
  if (/\{[^}]*$/.test(rest) && /[{,]\s*$/.test(rest)) return { kind: "label", prefix: word };
  if (/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*$/.test(rest)) return { kind: "label", prefix: word };
  if (/[{[][^}\]]*$/.test(rest)) return null;
  return { kind: "name", prefix: word };
}

/** The metric that the braces or the grouping around the caret belong to, "" if it cannot be told. */
function metricNear(text, before) {
  const braces = /([a-zA-Z_:][\w:]*)\s*\{[^}]*$/.exec(before);
  if (braces) return braces[1];
  const words = [...text.matchAll(/[a-zA-Z_:][\w:]*/g)].map(([word]) => word);
  return words.find((word) => word.includes("_") && !FUNCTION_NAMES.has(word) && !KEYWORDS.includes(word)) ?? "";
}

/** Higher is better; 0 does not match. Prefixes first, then word starts, then letters in order. */
function score(name, wanted) {
  if (!wanted) return 1;
  const lower = name.toLowerCase();
  const needle = wanted.toLowerCase();
  if (lower === needle) return 0;
  if (lower.startsWith(needle)) return 4;
  const at = lower.indexOf(needle);
  if (at > 0) return /[_:.]/.test(lower[at - 1]) ? 3 : 2;
  let i = 0;
  for (const c of lower) if (c === needle[i]) i += 1;
  return i === needle.length && needle.length > 2 ? 1 : 0;
}

export class Editor {
  /** `run()` is called on Enter; `metrics()` gives the known metric names. */
  constructor({ input, highlight, list, run, metrics, kindOf }) {
    Object.assign(this, { input, highlight, list, run, metrics, kindOf });
    this.items = [];
    this.active = 0;
    this.history = this.loadHistory();
    this.historyAt = this.history.length;
    this.cache = new Map();
    input.addEventListener("input", () => { this.mark = null; this.paint(); this.complete(); });
    input.addEventListener("scroll", () => this.scroll());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    input.addEventListener("click", () => this.close());
  }

  get value() {
    return this.input.value;
  }

  set value(text) {
    this.input.value = text;
    this.mark = null;
    this.close();
    this.paint();
  }

  /** Underlines the token at a line and column, both from 1, the column in bytes. */
  markError(line, column) {
    const lines = this.value.split("\n");
    if (line < 1 || line > lines.length) return;
    const bytes = new TextEncoder().encode(lines[line - 1]);
    const inLine = new TextDecoder().decode(bytes.slice(0, column - 1)).length;
    this.mark = lines.slice(0, line - 1).reduce((sum, l) => sum + l.length + 1, 0) + inLine;
    this.paint();
  }

  paint() {
    const text = this.value;
    this.input.rows = Math.min(12, text.split("\n").length);
    let at = 0;
    const nodes = tokens(text).map(([kind, token]) => {
      const wrong = this.mark !== null && this.mark !== undefined && at <= this.mark && this.mark < at + token.length;
      at += token.length;
      const classes = [kind, wrong && "t-err"].filter(Boolean).join(" ");
      return classes ? el("span", { class: classes }, token) : token;
    });
    if (this.mark !== null && this.mark !== undefined && this.mark >= text.length) nodes.push(el("span", { class: "t-err" }, " "));
    this.highlight.replaceChildren(...nodes, "\n");
    this.scroll();
  }

  scroll() {
    this.highlight.scrollLeft = this.input.scrollLeft;
    this.highlight.scrollTop = this.input.scrollTop;
  }

  key(event) {
    const open = !this.list.hidden;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (open && this.chosen) this.accept();
      else { this.close(); this.run(); }
    } else if (open && (event.key === "ArrowDown" || event.key === "ArrowUp") && !event.altKey) {
      event.preventDefault();
      this.move(event.key === "ArrowDown" ? 1 : -1);
    } else if (open && event.key === "Tab") {
      event.preventDefault();
      this.accept();
    } else if (open && event.key === "Escape") {
      event.preventDefault();
      this.close();
    } else if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      this.complete(true);
    } else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      this.recall(event.key === "ArrowUp" ? -1 : 1);
    }
  }

  async complete(asked = false) {
    const before = this.value.slice(0, this.input.selectionStart);
    const found = this.input.selectionStart === this.input.selectionEnd ? context(before) : null;
    if (!found || (!asked && found.kind === "name" && found.prefix.length < 1)) return this.close();
    const ticket = (this.ticket = (this.ticket ?? 0) + 1);
    const candidates = await this.candidates(found, before).catch(() => []);
    if (ticket !== this.ticket) return;
    const ranked = candidates
      .map((c) => ({ ...c, score: score(c.text, found.prefix) + (c.bonus ?? 0) }))
      .filter((c) => c.score >= 1 && c.text !== found.prefix)
      .sort((a, b) => b.score - a.score || a.text.length - b.text.length || (a.text < b.text ? -1 : 1));
    this.found = found;
    this.open(ranked.slice(0, SHOWN_MAX));
  }

  async candidates(found, before) {
    if (found.kind === "name") {
      return [
        ...this.metrics().map((text) => ({ text, note: this.kindOf(text) || "metric", bonus: 0.2 })),
        ...FUNCTIONS.map(({ name, signature, doc }) => ({ text: name, note: signature.slice(name.length), title: doc, insert: `${name}(` })),
        ...AGGREGATIONS.map((text) => ({ text, note: "aggregation", insert: `${text}(`, bonus: 0.1 })),
        ...KEYWORDS.map((text) => ({ text, note: "keyword", insert: `${text} ` })),
      ];
    }
    const metric = metricNear(this.value, before);
    const params = metric ? { "match[]": metric, limit: 1000 } : { limit: 1000 };
    const key = `${found.kind} ${found.label ?? ""} ${metric}`;
    if (!this.cache.has(key)) {
      if (this.cache.size > 50) this.cache.clear();
      this.cache.set(key, found.kind === "label" ? labelNames(params) : labelValues(found.label, params));
    }
    const texts = await this.cache.get(key).catch((error) => { this.cache.delete(key); throw error; });
    if (found.kind === "label") return texts.filter((t) => t !== "__name__").map((text) => ({ text, note: "label" }));
    return texts.map((text) => ({ text, note: found.label, insert: text.replace(/[\\"]/g, "\\$&") }));
  }

  open(items) {
    if (items.length === 0) return this.close();
    this.items = items;
    this.active = 0;
    // Nothing is chosen until the user turns to the list, so that Enter still runs a query that is complete.
    this.chosen = false;
    this.list.replaceChildren(...items.map((item, i) => el("li", { id: `completion-${i}`, role: "option", "aria-selected": "false", title: item.title ?? "", onmousedown: (event) => { event.preventDefault(); this.active = i; this.accept(); } },
      el("span", {}, ...emphasised(item.text, this.found.prefix)), el("span", {}, item.note))));
    const before = this.value.slice(0, this.input.selectionStart);
    const line = before.split("\n").length;
    const column = before.length - before.lastIndexOf("\n") - 1 - this.found.prefix.length;
    const style = getComputedStyle(this.input);
    const canvas = (this.canvas ??= document.createElement("canvas").getContext("2d"));
    canvas.font = style.font;
    const left = parseFloat(style.paddingLeft) + column * canvas.measureText("0").width - this.input.scrollLeft;
    this.list.hidden = false;
    this.list.style.left = `${Math.max(0, Math.min(left, this.input.clientWidth - this.list.offsetWidth))}px`;
    this.list.style.top = `${parseFloat(style.paddingTop) + line * parseFloat(style.lineHeight)}px`;
    this.input.setAttribute("aria-expanded", "true");
  }

  close() {
    this.ticket = (this.ticket ?? 0) + 1;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  move(by) {
    const options = [...this.list.children];
    options[this.active].setAttribute("aria-selected", "false");
    // The first step down chooses the first one, a step up the last.
    this.active = this.chosen || by < 0 ? (this.active + by + options.length) % options.length : this.active;
    this.chosen = true;
    options[this.active].setAttribute("aria-selected", "true");
    options[this.active].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", options[this.active].id);
  }

  accept() {
    const item = this.items[this.active];
    const caret = this.input.selectionStart;
    const text = item.insert ?? item.text;
    this.input.setRangeText(text, caret - this.found.prefix.length, caret, "end");
    this.close();
    this.mark = null;
    this.paint();
  }

  remember(query) {
    this.history = [...this.history.filter((q) => q !== query), query].slice(-HISTORY_MAX);
    this.historyAt = this.history.length;
    try {
      localStorage.setItem(HISTORY_KEY, JSON.stringify(this.history));
    } catch {
      // A browser without storage forgets; nothing else depends on it.
    }
  }

  recall(by) {
    const at = Math.max(0, Math.min(this.history.length, this.historyAt + by));
    if (at === this.historyAt) return;
    if (this.historyAt === this.history.length) this.draft = this.value;
    this.historyAt = at;
    this.value = this.history[at] ?? this.draft ?? "";
  }

  loadHistory() {
    try {
      const stored = JSON.parse(localStorage.getItem(HISTORY_KEY) ?? "[]");
      return Array.isArray(stored) ? stored.filter((q) => typeof q === "string") : [];
    } catch {
      return [];
    }
  }
}

function emphasised(text, wanted) {
  const at = wanted ? text.toLowerCase().indexOf(wanted.toLowerCase()) : -1;
  if (at < 0) return [text];
  return [text.slice(0, at), el("b", {}, text.slice(at, at + wanted.length)), text.slice(at + wanted.length)];
}
