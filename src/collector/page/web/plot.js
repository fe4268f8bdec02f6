// Plots over time: curves with an axis, a value at the pointer, and the same by the keyboard.

import { el, show, svg } from "./dom.js";

const LEFT = 52, RIGHT = 8, TOP = 8, BOTTOM = 18, HEIGHT = 150;

// The next rounder number from which an axis reads well.
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * size).find((step) => step >= value * 0.999999);
}

// Times between which an axis has its marks, so that they are round ones.
export function marks(from, to, most) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800];
  const step = 1000 * (steps.find((seconds) => (to - from) / (seconds * 1000) <= most) ?? 604800);
  const shift = new Date(from).getTimezoneOffset() * 60000;
  const first = Math.ceil((from - shift) / step) * step + shift;
  const times = [];
  for (let at = first; at <= to; at += step) times.push(at);
  return times.map((at) => {
    const time = new Date(at);
    const pad = (number) => String(number).padStart(2, "0");
    const clock = `${pad(time.getHours())}:${pad(time.getMinutes())}`;
    if (step < 60000) return [at, `${clock}:${pad(time.getSeconds())}`];
    if (step >= 86400000) return [at, `${pad(time.getDate())}.${pad(time.getMonth() + 1)}.`];
    return [at, clock];
  });
}

// Draws at the width that there is, and again when that changes.
export function drawn(height, draw) {
  const picture = svg("svg", { class: "plot", height, role: "img", tabindex: 0 });
  let width = 0;
  const redraw = () => {
    if (width > 0) {
      picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
      picture.replaceChildren(...draw(width));
    }
  };
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now !== width) {
      width = now;
      redraw();
    }
  }).observe(picture);
  return { picture, redraw, width: () => width };
}

export function timeAxis(from, to, width, bottom) {
  const x = (at) => LEFT + ((at - from) / Math.max(1, to - from)) * (width - LEFT - RIGHT);
  const nodes = marks(from, to, Math.max(2, Math.floor(width / 90))).map(([at, text]) =>
    svg("text", { x: x(at), y: bottom + 14, "text-anchor": "middle" }, text));
  return { x, nodes };
}

// curves: [{name, of(series)}], one or two; counts: there is no half of one. Gives {node, update(overview)}.
export function plot({ title, curves, format = show.number, atLeast = 0, counts = false }) {
  let data = null;
  let at = null;
  const read = el("span", { class: "read", "aria-live": "polite" });
  const values = () => curves.map((curve) => curve.of(data.series));
  const end = () => data.from + data.step * values()[0].length;
  const kinds = ["a", "b"];

  const { picture, redraw, width } = drawn(HEIGHT, (width) => {
    if (!data) return [];
    const all = values();
    const most = roundUp(Math.max(atLeast, ...all.flat().filter((value) => value != null)));
    const top = counts ? 2 * Math.ceil(most / 2) : most;
    const floor = HEIGHT - BOTTOM;
    const y = (value) => floor - (value / top) * (floor - TOP);
    const { x, nodes } = timeAxis(data.from, end(), width, floor);
    const middle = (index) => x(data.from + (index + 0.5) * data.step);
    for (const part of [0, 0.5, 1]) {
      nodes.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(top * part), y2: y(top * part) }));
      nodes.push(svg("text", { x: LEFT - 6, y: y(top * part) + 4, "text-anchor": "end" }, format(top * part).replace("bit/s", "")));
    }
    all.forEach((values, number) => {
      const kind = kinds[number];
      let path = "";
      values.forEach((value, index) => {
        if (value == null) return;
        const isAfter = index > 0 && values[index - 1] != null;
        path += `${isAfter ? "L" : "M"}${middle(index).toFixed(1)} ${y(value).toFixed(1)}`;
        const isAlone = !isAfter && values[index + 1] == null;
        if (isAlone) nodes.push(svg("circle", { class: `dot ${kind}`, r: 2.5, cx: middle(index), cy: y(value) }));
      });
      nodes.push(svg("path", { class: `curve ${kind}`, d: path }));
      if (at != null && values[at] != null) {
        nodes.push(svg("circle", { class: `dot ${kind}`, r: 4, cx: middle(at), cy: y(values[at]) }));
      }
    });
    if (at != null) nodes.push(svg("line", { class: "cross", x1: middle(at), x2: middle(at), y1: TOP, y2: floor }));
    return nodes;
  });

  const tell = () => {
    const all = values();
    const last = (values) => values.findLast((value) => value != null);
    const shown = curves.map((curve, number) => {
      const value = at == null ? last(all[number]) : all[number][at];
      return curves.length > 1 ? `${curve.name} ${format(value)}` : format(value);
    });
    read.textContent = (at == null ? "" : `${show.time(data.from + at * data.step)}  `) + shown.join(", ");
    picture.setAttribute("aria-label", `${title}: ${shown.join(", ")}. Left and right keys read other times.`);
  };
  const look = (index) => {
    if (!data) return;
    at = index == null ? null : Math.min(Math.max(0, index), values()[0].length - 1);
    redraw();
    tell();
  };
  const under = (event) => {
    const place = (event.clientX - picture.getBoundingClientRect().left - LEFT) / Math.max(1, width() - LEFT - RIGHT);
    look(Math.floor(place * values()[0].length));
  };
  picture.addEventListener("pointermove", (event) => data && under(event));
  picture.addEventListener("pointerleave", () => look(null));
  picture.addEventListener("blur", () => look(null));
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && data) {
      event.preventDefault();
      look((at ?? values()[0].length - 1) + step);
    }
  });

  const key = curves.length > 1 && el("span", {}, curves.map((curve, number) => el("span", { class: "key" },
    svg("svg", { viewBox: "0 0 18 10", "aria-hidden": "true" }, svg("path", { class: `curve ${kinds[number]}`, d: "M0 5H18" })),
    curve.name)));
  const node = el("figure", {}, el("figcaption", {}, el("b", {}, title), read), picture, key);
  const update = (overview) => {
    data = overview;
    redraw();
    tell();
  };
  return { node, update };
}

// What one session did: a lane of states, one of the bit rate, one of frames, and marks where the stream broke.
export function timeLine(session, story, until) {
  const from = session.start;
  const to = Math.max(until, from + 1000);
  const lane = { states: [10, 46], rate: [60, 120], frames: [134, 194] };
  const height = 194 + 40;
  const spans = story.filter((piece) => piece.to > piece.from);
  const rates = spans.filter((piece) => piece.rated_ms > 0).map((piece) => ({ ...piece, value: (piece.bits / piece.rated_ms) * 1000 }));
  const frames = spans.filter((piece) => piece.frames_ms > 0).map((piece) => ({ ...piece, value: (piece.frames / piece.frames_ms) * 1000 }));
  const { picture } = drawn(height, (width) => {
    const { x, nodes } = timeAxis(from, to, width, height - 26);
    const block = (kind, begin, end, top, tall, text) => nodes.push(svg("rect",
      { class: kind, x: x(begin), width: Math.max(0.75, x(end) - x(begin)), y: top, height: tall }, svg("title", {}, text)));
    const [top, bottom] = lane.states;
    const join = session.joined ?? session.ended ?? to;
    block("starting", from, join, top, bottom - top, `starting ${show.span(join - from)}`);
    for (const piece of spans) {
      const begin = Math.max(piece.from, session.joined ?? Infinity);
      if (begin >= piece.to || piece.aside) continue;
      let place = bottom;
      for (const [kind, ms] of shares(piece)) {
        const tall = Math.min(1, ms / (piece.to - piece.from)) * (bottom - top);
        place -= tall;
        if (tall > 0) block(kind, begin, piece.to, place, tall, `${kind} ${show.span(ms)} from ${show.time(begin)}`);
      }
    }
    const steps = (values, [top, bottom], format, name) => {
      const most = roundUp(1.2 * Math.max(1, ...values.map((piece) => piece.value)));
      const y = (value) => bottom - (value / most) * (bottom - top);
      for (const value of [0, most]) {
        nodes.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
        nodes.push(svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value).replace("bit/s", "")));
      }
      nodes.push(svg("text", { x: LEFT + 4, y: top + 10 }, name));
      const path = values.map((piece) => `M${x(piece.from)} ${y(piece.value)}H${x(piece.to)}`).join("");
      nodes.push(svg("path", { class: "curve a", d: path }));
    };
    steps(rates, lane.rate, show.rate, "bit rate");
    steps(frames, lane.frames, show.number, "frames a second");
    let gaps = 0;
    for (const piece of story) {
      const now = piece.told?.discontinuities ?? gaps;
      if (now > gaps) {
        nodes.push(svg("path", { class: "mark", d: `M${x(piece.to)} ${bottom + 1}l4 8h-8z` }, svg("title", {}, `${now - gaps} discontinuities`)));
      }
      gaps = now;
    }
    return nodes;
  });
  picture.setAttribute("aria-label", "Time line of the session; the table below has the same in words.");
  const keys = [["starting", "starting"], ["playing", "playing"], ["rebuffering", "rebuffering"], ["seeking", "seeking"], ["paused", "paused or not told"]];
  const key = el("p", {}, keys.map(([kind, name]) => el("span", { class: "key" },
    svg("svg", { viewBox: "0 0 18 10", "aria-hidden": "true" }, svg("rect", { class: kind, width: 18, height: 10 })), name)),
    el("span", { class: "key" }, svg("svg", { viewBox: "0 0 18 10", "aria-hidden": "true" }, svg("path", { class: "mark", d: "M9 0l5 10h-10z" })), "discontinuities"));
  return el("figure", {}, picture, key);
}

// How a piece of time divides; what is told as nothing else was paused, or nobody said.
export function shares(piece) {
  const [playing, rebuffering, seeking] = [piece.playing_ms ?? 0, piece.rebuffering_ms ?? 0, piece.seek_buffering_ms ?? 0];
  const rest = Math.max(0, piece.to - piece.from - playing - rebuffering - seeking);
  return [["playing", playing], ["rebuffering", rebuffering], ["seeking", seeking], ["paused", rest]];
}
