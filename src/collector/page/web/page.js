// Which view is shown, and when it asks again.

import { el } from "./dom.js";
import * as connector from "./connector.js";
import * as views from "./views.js";

const PAGES = [
  ["", "Overview", views.overview],
  ["sessions", "Sessions", views.sessions],
  ["session", null, views.session],
  ["dimensions", "Dimensions", views.dimensions],
  ["fleet", "Boxes", views.fleet],
  ["alerts", "Alerts", views.alerts],
  ["configuration", "Configuration", connector.configuration],
  ["metrics", "Metrics Results", connector.metricsResults],
  ["lens", "MetricLens Results", connector.lensResults],
  ["security", "Security Settings", connector.security],
];
const AGAIN = 5000;

const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
const nav = document.getElementById("nav");
let shown = null;
let timer = 0;

async function refresh(view) {
  clearTimeout(timer);
  try {
    if (!document.hidden) await view.refresh?.();
    if (view === shown) trouble.hidden = true;
  } catch (error) {
    if (view === shown) {
      trouble.textContent = error.message;
      trouble.hidden = false;
    }
  }
  if (view === shown && view.refresh && !view.once) timer = setTimeout(() => refresh(view), AGAIN);
}

function route(isFirst) {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, , make] = PAGES.find(([known]) => known === path) ?? PAGES[0];
  nav.replaceChildren(...PAGES.filter(([, text]) => text).map(([key, text]) =>
    el("a", { href: `#/${key}`, "aria-current": key === name && "page" }, text)));
  const view = make(new URLSearchParams(query));
  shown = view;
  document.title = `${view.title} · stbeacon`;
  main.replaceChildren(el("h1", {}, view.title), ...view.node.flat().filter(Boolean));
  trouble.hidden = true;
  if (!isFirst) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  refresh(view);
}

addEventListener("hashchange", () => route(false));
document.addEventListener("visibilitychange", () => !document.hidden && shown && refresh(shown));
route(true);
