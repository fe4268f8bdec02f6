// Overview, sessions, one session, dimensions, boxes. Each view gives {title, node, refresh?}.

import { ask, chip, el, show, table } from "./dom.js";
import { plot, shares, timeLine } from "./plot.js";

const RANGES = [[60, "last hour"], [360, "last 6 hours"], [1440, "last day"], [10080, "last week"]];

export function link(page, query) {
  const text = new URLSearchParams(Object.entries(query ?? {}).filter(([, value]) => value)).toString();
  return `#/${page}${text ? `?${text}` : ""}`;
}

export function choice(name, options, value, change) {
  return el("label", {}, name, el("select", { change: (event) => change(event.target.value) },
    options.map(([key, text]) => el("option", { value: key, selected: String(key) === String(value) }, text))));
}

export function overview(query) {
  const minutes = query.get("minutes") ?? "60";
  const tiles = el("dl", { class: "tiles" });
  const plots = [
    plot({ title: "Concurrent plays", curves: [{ name: "plays", of: (series) => series.concurrent_plays }], atLeast: 4, counts: true }),
    plot({ title: "Attempts and plays", atLeast: 4, counts: true, curves: [
      { name: "attempts", of: (series) => series.attempts }, { name: "plays", of: (series) => series.plays }] }),
    plot({ title: "Rebuffering", format: show.percent, atLeast: 1, curves: [
      { name: "ratio", of: (series) => series.rebuffering },
      { name: "without seeks (CIRR)", of: (series) => series.connection_rebuffering }] }),
    plot({ title: "Not started", format: show.percent, atLeast: 1, curves: [
      { name: "VSF", of: (series) => series.start_failures }, { name: "EBVS", of: (series) => series.exits_before_start }] }),
    plot({ title: "Average bit rate", format: show.rate, curves: [{ name: "bit rate", of: (series) => series.bitrate }] }),
    plot({ title: "Startup and restart time", format: show.seconds, atLeast: 1, curves: [
      { name: "VST", of: (series) => series.startup_s }, { name: "VRT", of: (series) => series.restart_s }] }),
    plot({ title: "Playback failures", format: show.percent, atLeast: 1, curves: [{ name: "VPF", of: (series) => series.play_failures }] }),
    plot({ title: "Frames a second", atLeast: 30, curves: [{ name: "frames", of: (series) => series.frame_rate }] }),
  ];
  const refresh = async () => {
    const told = await ask(`/ui/overview?minutes=${encodeURIComponent(minutes)}`);
    const total = told.totals;
    const numbers = [
      ["Running now", show.count(told.running)], ["Most plays at once", show.count(total.concurrent_plays)],
      ["Attempts", show.count(total.attempts)], ["Plays", `${show.count(total.plays)} (${show.percent(total.plays_percent)})`],
      ["VSF", show.percent(total.start_failures)], ["EBVS", show.percent(total.exits_before_start)],
      ["VST", show.seconds(total.startup_s)], ["VST, median", show.seconds(total.startup_median_s)],
      ["VST, 95th percentile", show.seconds(total.startup_p95_s)], ["Unique devices", show.count(total.devices)],
      ["Rebuffering ratio", show.percent(total.rebuffering)],
      ["CIRR", show.percent(total.connection_rebuffering)], ["Average bit rate", show.rate(total.bitrate)],
      ["VPF", show.percent(total.play_failures)], ["Ended plays", show.count(total.ended_plays)],
      ["VRT", show.seconds(total.restart_s)], ["Frames a second", show.number(total.frame_rate)],
    ];
    tiles.replaceChildren(...numbers.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    for (const one of plots) one.update(told);
  };
  const bar = el("div", { class: "bar" },
    choice("Time", RANGES, minutes, (value) => { location.hash = link("", { minutes: value }); }));
  return { title: "Overview", node: [bar, tiles, el("div", { class: "plots" }, plots.map((one) => one.node))], refresh };
}

const OUTCOMES = { played: "good", "left before start": "warn" };

function state(session) {
  if (session.ended == null) return chip("good", "running");
  const silent = session.by_silence ? ", fell silent" : "";
  return chip(OUTCOMES[session.outcome] ?? "bad", session.outcome + silent);
}

export function sessions(query) {
  const wanted = { state: query.get("state") ?? "", text: query.get("text") ?? "", before: query.get("before") ?? "" };
  const list = el("div", {});
  const more = el("p", {});
  const refresh = async () => {
    const told = await ask(`/ui/sessions?${new URLSearchParams(Object.entries(wanted).filter(([, value]) => value))}`);
    list.replaceChildren(table("Sessions", [
      { name: "Began", of: (row) => el("a", { href: link("session", { key: row.key }) }, show.date(row.start)) },
      { name: "State", of: state },
      { name: "Box", kind: "text", of: (row) => row.device },
      { name: "Asset", kind: "text", of: (row) => row.labels.Assets },
      { name: "Told by", of: (row) => row.labels["Data Channels"] },
      { name: "Played", kind: "number", of: (row) => show.span(row.playing_ms) },
      { name: "VST", kind: "number", of: (row) => show.seconds(row.startup_s) },
      { name: "Rebuffering", kind: "number", of: (row) => show.percent(row.rebuffering) },
      { name: "Bit rate", kind: "number", of: (row) => show.rate(row.bitrate) },
    ], told.sessions, "No session is like that."));
    const last = told.sessions.at(-1);
    more.replaceChildren(...(told.sessions.length >= told.most
      ? [el("a", { href: link("sessions", { ...wanted, before: last.start }) }, "Older ones")] : []));
  };
  const go = (change) => { location.hash = link("sessions", { ...wanted, before: "", ...change }); };
  const bar = el("form", { class: "bar", submit: (event) => {
    event.preventDefault();
    go({ text: event.target.elements.text.value });
  } },
  choice("State", [["", "all"], ["running", "running"], ["ended", "ended"]], wanted.state, (value) => go({ state: value })),
  el("label", {}, "Box, asset, CDN …", el("input", { name: "text", type: "search", value: wanted.text, maxlength: 200 })),
  el("button", {}, "Find"));
  return { title: "Sessions", node: [bar, list, more], refresh };
}

function words(piece) {
  const parts = [];
  const say = (value, text) => value > 0 && parts.push(text);
  say(piece.attempts, "attempt");
  say(piece.plays, `first picture${piece.startups > 0 ? ` after ${show.span(piece.startup_ms)}` : ""}`);
  say(piece.playing_ms, `played ${show.span(piece.playing_ms)}${piece.rated_ms > 0 ? ` at ${show.rate((piece.bits / piece.rated_ms) * 1000)}` : ""}`);
  say(piece.rebuffering_ms, `rebuffered ${show.span(piece.rebuffering_ms)}`);
  say(piece.seek_buffering_ms, `waited ${show.span(piece.seek_buffering_ms)} for a seek`);
  say(piece.restarts, `${piece.restarts} seeks, ${show.span(piece.restart_ms)} until it played again`);
  say(piece.frames, `${show.count(piece.frames)} frames${piece.frames_ms > 0 ? ` (${show.number((piece.frames / piece.frames_ms) * 1000)} a second)` : ""}`);
  say(piece.frames_dropped, `${show.count(piece.frames_dropped)} frames dropped`);
  say(piece.exits_before_start, "left before the first picture");
  say((piece.start_failures_technical ?? 0) + (piece.start_failures_business ?? 0), "failed to start");
  say((piece.play_failures_technical ?? 0) + (piece.play_failures_business ?? 0), "failed in mid-play");
  say(piece.ended_plays, "ended");
  if (piece.ended_plays < 0 || piece.exits_before_start < 0) parts.push("is heard of again: it had not ended");
  if (piece.error) parts.push(`error ${piece.error}`);
  for (const [name, value] of Object.entries(piece.told ?? {})) say(value, `${name.replaceAll("_", " ")} ${show.count(value)} so far`);
  const paused = !piece.aside && shares(piece)[3][1];
  if (parts.length === 0 && paused > 0) parts.push(`${show.span(paused)} without play`);
  return parts.join("; ");
}

export function session(query) {
  const key = query.get("key") ?? "";
  const node = el("div", {});
  let seen = "";
  const refresh = async () => {
    const { session, story, now } = await ask(`/ui/session?key=${encodeURIComponent(key)}`);
    const told = JSON.stringify([session, story.length]);
    if (told === seen) return;
    seen = told;
    const last = story.reduce((latest, piece) => Math.max(latest, piece.to), session.start);
    const facts = [
      ["State", state(session)], ["Box", session.device], ["Began", show.date(session.start)],
      ["First picture", session.joined == null ? "not yet" : `${show.date(session.joined)}, VST ${show.seconds(session.startup_s)}`],
      ["Told until", show.date(session.told)], ["Played", show.span(session.playing_ms)],
      ["Rebuffering", `${show.span(session.rebuffering_ms)} (${show.percent(session.rebuffering)} with seeks)`],
      ["Seeks", `${show.count(session.seeks)}, waited ${show.span(session.seek_buffering_ms)}`],
      ["Bit rate", show.rate(session.bitrate)],
      ["Frames", `${show.number(session.frame_rate)} a second, ${show.count(session.frames_dropped)} dropped`],
      ["Messages missing", show.count(session.missing)],
      ...Object.entries(session.labels),
    ];
    node.replaceChildren(
      timeLine(session, story, session.ended ?? Math.max(last, Math.min(now, last + 30000))),
      el("h2", {}, "In numbers"),
      el("dl", { class: "facts card" }, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("h2", {}, "In words"),
      table("What became of it", [
        { name: "From", of: (piece) => show.time(piece.from) },
        { name: "For", kind: "number", of: (piece) => (piece.to > piece.from ? show.span(piece.to - piece.from) : "") },
        { name: "What", kind: "text", of: words },
      ], story.filter(words)));
  };
  return { title: "Session", node: [el("p", {}, el("a", { href: "#/sessions" }, "All sessions")), node], refresh };
}

export const QUALITY = [
  ["Attempts", show.count], ["VSF", show.percent], ["EBVS", show.percent], ["Plays", show.percent], ["VST", show.seconds],
  ["Rebuffering ratio", show.percent], ["Average bit rate", show.rate], ["VPF", show.percent], ["Ended plays", show.count],
  ["CIRR", show.percent], ["VRT", show.seconds], ["VSF-T", show.percent], ["VSF-B", show.percent], ["VPF-T", show.percent],
  ["VPF-B", show.percent],
];

export function dimensions(query) {
  const chosen = query.get("dimension") ?? "13";
  const bar = el("div", { class: "bar" });
  const node = el("div", {});
  const refresh = async () => {
    if (bar.childElementCount === 0) {
      const all = await ask("/insights/2.6/metriclens_dimension_list.json?account=1");
      const options = Object.entries(all).map(([name, id]) => [id, name]);
      bar.replaceChildren(choice("Dimension", options, chosen, (value) => { location.hash = link("dimensions", { dimension: value }); }));
    }
    const told = await ask("/insights/2.6/metrics.json?metrics=quality_metriclens&account=1&filter_ids=1"
      + `&metriclens_dimension_id=${encodeURIComponent(chosen)}`);
    const lens = told.quality_metriclens;
    const rows = lens.tables["1"].rows.map((row, index) => [lens.xvalues[index], row]);
    rows.sort(([, one], [, other]) => other[0] - one[0]);
    const columns = QUALITY.map(([name, format], index) => ({ name, kind: "number", of: ([, row]) => format(row[index]) }));
    node.replaceChildren(table("The last hour", [{ name: "Value", kind: "text", of: ([name]) => name }, ...columns], rows));
  };
  return { title: "Dimensions", node: [bar, node], refresh };
}

// Whatever another service says, as text.
const text = (value) => (value == null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

// How long alerts of a kind are kept: by age or by number.
function keeping(kind, now, refresh) {
  const by = now.days != null ? "days" : now.records != null ? "records" : "";
  const said = el("span", { role: "status", class: "dim" });
  const options = [["", "10 000 records"], ["days", "so many days"], ["records", "so many records"]];
  return el("form", { class: "bar", "aria-label": `Delete Configuration, ${kind}`, submit: async (event) => {
    event.preventDefault();
    const entered = new FormData(event.target);
    const body = { kind };
    if (entered.get("by")) body[entered.get("by")] = Number(entered.get("number"));
    try {
      await ask("/ui/connector/received/keep", body);
      document.activeElement?.blur();
      await refresh();
    } catch (error) {
      said.textContent = error.message;
    }
  } },
  el("label", {}, "Delete Configuration: keep", el("select", { name: "by" },
    options.map(([value, name]) => el("option", { value, selected: value === by }, name)))),
  el("label", {}, "Number", el("input", { name: "number", type: "number", min: 1, max: 100000, value: now[by] ?? 100 })),
  el("button", {}, "Save"), said);
}

export function alerts() {
  const node = el("div", {});
  const kinds = { critical: "bad", warning: "warn", P1: "bad", P2: "warn" };
  const sent = (row) => (row.sent.length === 0 ? "nowhere" : row.sent.map((one) => `${one.url}: ${one.state}, ${one.tries} tries`).join("; "));
  const refresh = async () => {
    const [{ alerts }, received] = await Promise.all([ask("/ui/alerts"), ask("/ui/received")]);
    if (node.contains(document.activeElement) && document.activeElement.closest("form")) return;
    const of = (kind) => alerts.filter((row) => row.kind === kind);
    node.replaceChildren(
      table("AI alerts", [
        { name: "Time", of: (row) => show.date(row.at) },
        { name: "Severity", of: (row) => chip(kinds[row.alert.severity] ?? "none", row.alert.severity) },
        { name: "Metric", of: (row) => row.alert.metric_name },
        { name: "Value", kind: "number", of: (row) => show.number(row.alert.value) },
        { name: "Usual", of: (row) => `${show.number(row.alert.custom_fields.usual_from)} to ${show.number(row.alert.custom_fields.usual_to)}` },
        { name: "Root cause", kind: "text", of: (row) => row.alert.root_cause },
        { name: "Sent", kind: "text", of: sent },
      ], of("ai"), "Nothing is out of the ordinary, or it is not looked for (--alerts)."),
      el("h2", {}, "Set by somebody"),
      table("Manual alerts", [
        { name: "Time", of: (row) => show.date(row.at) },
        { name: "Priority", of: (row) => chip(kinds[row.alert.priority] ?? "none", row.alert.priority) },
        { name: "Name", kind: "text", of: (row) => row.alert.alert_name },
        { name: "Metric", of: (row) => row.alert.metric_name },
        { name: "Condition", of: (row) => row.alert.condition },
        { name: "Sample size", kind: "number", of: (row) => show.count(row.alert.sample_size) },
        { name: "Sent", kind: "text", of: sent },
      ], of("manual"), "No alert that was set has spoken, or none is set (--alerts)."),
      el("h2", {}, "Received from other services"),
      table("AI", [
        { name: "Received", of: (row) => show.date(row.at) },
        { name: "Severity", of: (row) => chip(kinds[row.alert.severity] ?? "none", text(row.alert.severity)) },
        { name: "Alert time", kind: "text", of: (row) => text(row.alert.alert_time) },
        { name: "Metric", of: (row) => text(row.alert.metric_name) },
        { name: "Value", kind: "number", of: (row) => text(row.alert.value) },
        { name: "Root cause", kind: "text", of: (row) => text(row.alert.root_cause) },
        { name: "Account", of: (row) => text(row.alert.account_name) },
        { name: "Devices", kind: "number", of: (row) => text(row.alert.cumulative_impacted_unique_devices) },
        { name: "Event", of: (row) => text(row.alert.event_id) },
      ], received.ai.alerts, "None has been received (--alerts-listen)."),
      keeping("ai", received.ai, refresh),
      el("h2", {}, ""),
      table("Manual", [
        { name: "Received", of: (row) => show.date(row.at) },
        { name: "Priority", of: (row) => chip(kinds[row.alert.priority] ?? "none", text(row.alert.priority)) },
        { name: "Name", kind: "text", of: (row) => text(row.alert.alert_name) },
        { name: "Metric", of: (row) => text(row.alert.metric_name) },
        { name: "Filter", kind: "text", of: (row) => text(row.alert.filter_name ?? row.alert.filter_id) },
        { name: "Condition", of: (row) => text(row.alert.condition) },
        { name: "Sample size", kind: "number", of: (row) => text(row.alert.sample_size) },
        { name: "Event", of: (row) => text(row.alert.event_id) },
      ], received.manual.alerts, "None has been received (--alerts-listen)."),
      keeping("manual", received.manual, refresh));
  };
  return { title: "Alerts", node: [node], refresh };
}

export function fleet() {
  const node = el("div", {});
  const refresh = async () => {
    const { boxes } = await ask("/ui/fleet");
    const interfaces = boxes.flatMap((box) => box.interfaces.map((one) => ({ box: box.device, ...one })));
    node.replaceChildren(
      table("Boxes", [
        { name: "Box", kind: "text", of: (box) => el("a", { href: link("sessions", { text: box.device }) }, box.device) },
        { name: "Running", kind: "number", of: (box) => show.count(box.running) },
        { name: "Sessions", kind: "number", of: (box) => show.count(box.sessions) },
        { name: "Last session", of: (box) => show.date(box.newest) },
        { name: "Interfaces", kind: "text", of: (box) => box.interfaces.map((one) => one.name).join(", ") },
      ], boxes, "No box has sent anything yet."),
      el("h2", {}, "Network"),
      table("Interfaces", [
        { name: "Box", kind: "text", of: (one) => one.box },
        { name: "Interface", of: (one) => one.name },
        { name: "Measured", of: (one) => show.date(one.timestamp * 1000) },
        { name: "Address", of: (one) => one.ip || "–" },
        { name: "Gateway", of: (one) => one.gateway || "–" },
        { name: "Link", of: (one) => (one.speed > 0 ? `${one.speed} Mbit/s ${one.duplex}` : one.duplex) },
        { name: "In", kind: "number", of: (one) => show.rate(one.received_rate) },
        { name: "Out", kind: "number", of: (one) => show.rate(one.sent_rate) },
        { name: "Received", kind: "number", of: (one) => show.bytes(one.stat?.received_bytes) },
        { name: "Errors", kind: "number", of: (one) => show.count(one.stat?.received_error_packets) },
        { name: "Discarded", kind: "number", of: (one) => show.count(one.stat?.received_discard_packets) },
        { name: "Multicast", kind: "number", of: (one) => show.count(one.stat?.received_multicast_packets) },
      ], interfaces, "No box has told of its interfaces yet."));
  };
  return { title: "Boxes and network", node: [node], refresh };
}
