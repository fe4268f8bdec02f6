// Elements, texts and numbers. Whatever comes from outside becomes a text node, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Asks the collector; what it says where it cannot answer is the error's text.
export async function ask(path, body) {
  const options = { headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The collector cannot be reached.");
  }
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(told.error ?? told.message ?? `The collector answers ${response.status}.`);
  return told;
}

// A table from columns {name, of, kind} and rows. `of` gives a text or a node; kinds are number and text.
export function table(caption, columns, rows, none = "Nothing yet.") {
  const head = el("tr", {}, columns.map((column) => el("th", { scope: "col", class: column.kind }, column.name)));
  const line = (row) => el("tr", {}, columns.map((column) =>
    el("td", { class: column.kind, "data-name": column.name }, column.of(row) ?? "–")));
  const body = rows.length > 0
    ? el("tbody", {}, rows.map(line))
    : el("tbody", {}, el("tr", {}, el("td", { class: "none", colspan: columns.length }, none)));
  return el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": caption },
    el("table", { class: "stack" }, el("caption", {}, caption), el("thead", {}, head), body));
}

export const chip = (kind, text) => el("span", { class: `chip ${kind}` }, text);

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const known = (format) => (value) => (value == null ? "–" : format(value));

export const show = {
  count: known((value) => whole.format(value)),
  number: known((value) => fine.format(value)),
  percent: known((value) => `${fine.format(value)} %`),
  seconds: known((value) => `${fine.format(value)} s`),
  rate: known((value) => {
    for (const [size, unit] of [[1e9, "Gbit/s"], [1e6, "Mbit/s"], [1e3, "kbit/s"]]) {
      if (value >= size) return `${fine.format(value / size)} ${unit}`;
    }
    return `${fine.format(value)} bit/s`;
  }),
  bytes: known((value) => {
    for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
      if (value >= size) return `${fine.format(value / size)} ${unit}`;
    }
    return `${whole.format(value)} B`;
  }),
  // Milliseconds as a time that people say.
  span: known((ms) => {
    const s = Math.round(ms / 1000);
    if (ms < 10000) return `${fine.format(ms / 1000)} s`;
    if (s < 60) return `${s} s`;
    const [h, m] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60)];
    return h > 0 ? `${h} h ${m} min` : `${m} min ${s % 60} s`;
  }),
  time: known((ms) => new Date(ms).toLocaleTimeString([], { hour12: false })),
  date: known((ms) => {
    const at = new Date(ms);
    const time = at.toLocaleTimeString([], { hour12: false });
    return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString()} ${time}`;
  }),
};
