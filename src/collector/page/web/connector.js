// The connector's pages: configuration, metrics results, MetricLens results, security settings.

import { ask, chip, el, show, table } from "./dom.js";
import { QUALITY, choice } from "./views.js";

const METRICS = [
  "attempts", "plays", "concurrent_plays", "rebuffering_ratio", "avg_bitrate", "video_start_failures", "exits_before_video_start",
  "rebuffered_plays", "ended_plays_timeseries", "connection_induced_rebuffering_ratio_timeseries",
  "video_playback_failures_timeseries", "video_restart_time_timeseries", "ended_plays", "connection_induced_rebuffering_ratio",
  "video_playback_failures", "video_restart_time", "quality_summary", "top_assets_summary", "video_startup_time",
  "video_restart_time_distribution", "play_bitrate_distribution", "play_buffering_ratio_distribution",
  "play_connection_induced_rebuffering_ratio_distribution",
];
const LENSES = ["quality_metriclens", "audience_metriclens"];
const AUDIENCE = [["Concurrent plays", show.count], ["Plays", show.count], ["Ended plays", show.count]];
const STATUS = { OK: "good", Warmup: "warn", "": "none" };

const units = (metric) => (/ratio|failures|exits|startup|distribution/.test(metric) ? "%" : /bitrate/.test(metric) ? "bps" : /restart/.test(metric) ? "s" : "");
const isLens = (item) => item.dimension !== "";
const named = (pairs, id) => (pairs ?? []).find(([, known]) => known === id)?.[0] ?? id;
const connectionOf = (told, item) => told.connections.find((one) => one.id === item.connection);
const filterOf = (told, item) => named(connectionOf(told, item)?.choices.filters, item.filter);
const dimensionOf = (told, item) => named(connectionOf(told, item)?.choices.dimensions, item.dimension);

// A view of tables, and of forms below them, that asks again. What has changed is drawn anew, but nothing under a hand.
function watched(title, draw, drawForms = () => []) {
  const tables = el("div", {});
  const forms = el("div", {});
  const said = el("p", { role: "status", class: "dim" });
  let [seen, offered] = ["", ""];
  const refresh = async () => {
    const told = await ask("/ui/connector");
    delete told.now;
    const isChoosing = document.activeElement.matches("select") && tables.contains(document.activeElement);
    if (JSON.stringify(told) !== seen && !isChoosing) {
      seen = JSON.stringify(told);
      const all = () => [...tables.querySelectorAll("a, button, select")];
      const place = all().indexOf(document.activeElement);
      tables.replaceChildren(...draw(told, act).flat().filter(Boolean));
      if (place >= 0) all()[Math.min(place, all().length - 1)]?.focus();
    }
    const isEntering = [...forms.querySelectorAll("input")].some((input) => input.value !== input.defaultValue);
    if (JSON.stringify(told.connections) !== offered && !isEntering) {
      offered = JSON.stringify(told.connections);
      forms.replaceChildren(...drawForms(told, act).flat().filter(Boolean));
    }
  };
  const act = async (action, body, done) => {
    said.textContent = "";
    try {
      await ask(`/ui/connector/${action}`, body);
    } catch (error) {
      said.textContent = error.message;
      return false;
    }
    said.textContent = done ?? "";
    document.activeElement.matches("select") && document.activeElement.blur();
    seen = "";
    await refresh().catch((error) => { said.textContent = error.message; });
    return true;
  };
  return { title, node: [said, tables, forms], refresh };
}

// Asks before something is gone.
function sure(text, go) {
  const dialog = el("dialog", { "aria-label": text }, el("p", {}, text), el("p", { class: "bar" },
    el("button", { class: "bad", click: () => { dialog.close(); go(); } }, "Remove"),
    el("button", { autofocus: true, click: () => dialog.close() }, "Keep")));
  dialog.addEventListener("close", () => dialog.remove());
  document.getElementById("main").append(dialog);
  dialog.showModal();
}

// A form that is empty again once what was entered is taken.
const form = (label, go, ...fields) => el("form", { class: "bar card", "aria-label": label, submit: async (event) => {
  event.preventDefault();
  const form = event.target;
  const entered = Object.fromEntries(new FormData(form));
  const inputs = [...form.querySelectorAll("input")];
  const values = inputs.map((input) => input.value);
  form.reset();
  if (await go(entered) === false) inputs.forEach((input, index) => { input.value = values[index]; });
} }, fields);
const field = (label, attributes) => el("label", {}, label, el("input", attributes));
const select = (label, name, options, change) => el("label", {}, label, el("select", { name, change },
  options.map(([value, text]) => el("option", { value }, text))));

function itemColumns(told, act) {
  return [
    { name: "Status", of: (item) => chip(STATUS[item.status] ?? "bad", item.disabled ? "disabled" : item.status || "not polled yet") },
    { name: "Note", kind: "text", of: (item) => item.note },
    { name: "Polled", of: (item) => show.date(item.polled) },
    { name: "Disable", of: (item) => el("button", { click: () => act("item/disable", { id: item.id, disabled: !item.disabled }) }, item.disabled ? "Enable" : "Disable") },
    { name: "Poll Now", of: (item) => el("button", { click: () => act("item/poll", { id: item.id }, "It is polled.") }, "Poll now") },
    { name: "Remove", of: (item) => el("button", { class: "bad", click: () =>
      sure(`Remove ${item.metric} of ${filterOf(told, item)} and what it has told?`, () => act("item/remove", { id: item.id }, "Removed.")) }, "Remove") },
  ];
}

export function configuration() {
  let chosen = null;
  const tables = (told, act) => {
    const common = [
      { name: "Connection", of: (item) => connectionOf(told, item)?.name },
      { name: "Filter Name", kind: "text", of: (item) => filterOf(told, item) },
    ];
    const metric = { name: "Metric Name", kind: "text", of: (item) => item.metric };
    return [
      table("Metrics", [metric, ...common, ...itemColumns(told, act)], told.items.filter((item) => !isLens(item))),
      el("h2", {}, ""),
      table("MetricLens", [{ name: "Dimension Name", kind: "text", of: (item) => dimensionOf(told, item) }, ...common, metric,
        ...itemColumns(told, act)], told.items.filter(isLens)),
    ];
  };
  return watched("Configuration", tables, (told, act) => {
    if (told.connections.length === 0) {
      return [el("p", {}, "Nothing is connected yet. ", el("a", { href: "#/security" }, "Security Settings"), " has the first step.")];
    }
    const adders = el("div", {});
    const fill = () => {
      const connection = told.connections.find((one) => one.id === chosen)
        ?? told.connections.find((one) => one.status === "OK") ?? told.connections[0];
      const filters = (connection.choices.filters ?? []).map(([name, id]) => [id, name]);
      const dimensions = (connection.choices.dimensions ?? []).map(([name, id]) => [id, name]);
      const add = (values) => act("item", { connection: connection.id, ...values }, "Added.");
      const unit = el("input", { name: "units", size: 6, maxlength: 20, value: units(METRICS[0]) });
      adders.replaceChildren(
        el("div", { class: "bar" }, choice("Connection", told.connections.map((one) => [one.id, one.name]), connection.id, (value) => {
          chosen = Number(value);
          fill();
        })),
        form("Add a metric", add,
          select("Metric Name", "metric", METRICS.map((name) => [name, name]), (event) => { unit.value = units(event.target.value); }),
          select("Filter Name", "filter", filters), el("label", {}, "Units", unit), el("button", {}, "Add metric")),
        form("Add a MetricLens", add,
          select("Dimension Name", "dimension", dimensions), select("Filter Name", "filter", filters),
          select("Metric Name", "metric", LENSES.map((name) => [name, name])), el("button", {}, "Add MetricLens")),
        form("Create a filter", (values) => act("filter", { id: connection.id, ...values }, "The service shows the filter."),
          field("New filter", { name: "name", required: true, maxlength: 100 }),
          select("Field", "field", (connection.choices.fields ?? []).map((one) => [one.field, one.field])),
          select("Is", "op", ["equals", "notequals", "contains", "notcontains"].map((name) => [name, name])),
          field("Text", { name: "value", required: true, maxlength: 200 }), el("button", {}, "Create filter")),
        form("Delete a filter", ({ name }) => sure(`Delete the filter ${name} at the service?`, () =>
          act("filter/remove", { id: connection.id, name }, "The service shows the filter no more.")),
          select("Filter Name", "name", filters.filter(([, name]) => name !== "All Traffic").map(([, name]) => [name, name])),
          el("button", { class: "bad" }, "Delete filter")));
    };
    fill();
    return [el("h2", {}, "Add"), adders];
  });
}

export function metricsResults() {
  return watched("Metrics Results", (told) => {
    const of = (kind) => told.items.filter((item) => item.result?.kind === kind);
    const name = { name: "Metric name", kind: "text", of: (item) => item.metric };
    const filter = { name: "Filter", kind: "text", of: (item) => filterOf(told, item) };
    const unit = { name: "Units", of: (item) => item.units };
    const number = (title, value) => ({ name: title, kind: "number", of: (item) => show.number(value(item)) });
    const labels = of("label_series").flatMap((item) => item.result.rows.map(([label, value]) => ({ ...item, label, value })));
    return [
      table("Time Series Metrics", [name, filter, unit, number("Avg. value", (item) => item.result.avg),
        number("Max value", (item) => item.result.max), number("Min value", (item) => item.result.min)], of("time_series")),
      el("h2", {}, ""),
      table("Simple Series Metrics", [name, filter, number("Value", (item) => item.result.value), unit], of("simple_series")),
      el("h2", {}, ""),
      table("Label Series Metrics", [name, filter, { name: "Label", kind: "text", of: (item) => item.label },
        number("Value", (item) => item.value), unit], labels),
    ];
  });
}

export function lensResults() {
  return watched("MetricLens Results", (told) => {
    const rows = (metric) => told.items.filter((item) => item.metric === metric && item.result?.kind === "metriclens")
      .flatMap((item) => item.result.rows.map(([label, values]) => ({ ...item, label, values })));
    const columns = (metrics) => [
      { name: "Dimension", kind: "text", of: (row) => dimensionOf(told, row) },
      { name: "Filter", kind: "text", of: (row) => filterOf(told, row) },
      { name: "Metric Name", of: (row) => row.metric },
      { name: "Label", kind: "text", of: (row) => row.label },
      ...metrics.map(([name, format], index) => ({ name, kind: "number", of: (row) => format(row.values[index]) })),
    ];
    return [
      table("MetricLens Quality", columns(QUALITY), rows("quality_metriclens")),
      el("h2", {}, ""),
      table("MetricLens Audience", columns(AUDIENCE), rows("audience_metriclens")),
    ];
  });
}

export function security() {
  const values = { name: "", base_url: location.origin, user: "", interval_s: 60 };
  const place = el("div", {});
  let entry = null;
  const body = (one, change) => ({ id: one.id, name: one.name, base_url: one.base_url, user: one.user, bypass_proxy: one.bypass_proxy,
    interval_s: one.interval_s, account: one.account, ...change });
  const forms = (told, act) => {
    entry = (connection) => {
      const edited = connection?.id;
      const now = connection ?? values;
      place.replaceChildren(form(edited ? "Change the connection" : "Add a connection", async (entered) => {
        const body = {
          name: entered.name, base_url: entered.base_url, user: entered.user, bypass_proxy: entered.bypass_proxy === "on",
          interval_s: Number(entered.interval_s), account: connection?.account ?? "",
        };
        if (edited) body.id = edited;
        if (entered.password !== "") body.password = entered.password;
        return act("connection", body, "Saved.");
      },
      field("Name", { name: "name", required: true, maxlength: 100, value: now.name }),
      field("IP address/host (URL)", { name: "base_url", type: "url", required: true, value: now.base_url }),
      field("User", { name: "user", autocomplete: "off", value: now.user }),
      field(connection?.has_password ? "Password (empty: as it is)" : "Password", { name: "password", type: "password", autocomplete: "new-password" }),
      field("Poll every (s)", { name: "interval_s", type: "number", min: 1, max: 86400, value: now.interval_s }),
      el("label", {}, "BypassProxy", el("input", { name: "bypass_proxy", type: "checkbox", checked: now.bypass_proxy })),
      el("button", {}, edited ? "Save" : "Add"),
      edited && el("button", { type: "button", click: () => entry(null) }, "Cancel")));
    };
    entry(null);
    return [el("h2", {}, "Add or change"), place];
  };
  return watched("Security Settings", (told, act) => [
      table("Connections", [
        { name: "Name", kind: "text", of: (one) => one.name },
        { name: "IP address/host", kind: "text", of: (one) => one.base_url },
        { name: "User", kind: "text", of: (one) => one.user },
        { name: "Password", of: (one) => (one.has_password ? "set" : "none") },
        { name: "Proxy", of: (one) => (one.bypass_proxy ? "bypassed" : "environment's") },
        { name: "Account", of: (one) => el("select", { "aria-label": `Account of ${one.name}`, change: (event) =>
          act("connection", body(one, { account: event.target.value }), "Account chosen.") },
        (one.choices.accounts ?? []).map(([name, id]) => el("option", { value: id, selected: id === one.account }, name))) },
        { name: "Status", of: (one) => chip(one.status === "OK" ? "good" : "bad", one.status === "OK" ? "OK" : "Error") },
        { name: "Note", kind: "text", of: (one) => (one.status === "OK" ? "" : one.status || "not asked yet") },
        { name: "Ask again", of: (one) => el("button", { click: () => act("connection/offers", { id: one.id }, "Asked.") }, "Ask again") },
        { name: "Change", of: (one) => el("button", { click: () => entry(one) }, "Change") },
        { name: "Remove", of: (one) => el("button", { class: "bad", click: () =>
          sure(`Remove ${one.name} and all that is polled of it?`, () => act("connection/remove", { id: one.id }, "Removed.")) }, "Remove") },
      ], told.connections),
  ], forms);
}
