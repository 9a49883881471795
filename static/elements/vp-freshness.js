// <vp-freshness hidden data-all="… %time …" …>: says on every page which of what it shows is old, and since when.
// The socket tells of hosts whose rows may be old, and of our own processes that do not answer (live.js, vp:freshness).
// What stands within [data-host="id"] and is a state or a value is greyed; the banner speaks of hosts that the page shows
// and that nobody watches, and of processes that it needs.

import { clockTime } from "./local-times.js";
import { word } from "./words.js";

let stale = {}; // host id -> [epoch seconds, why]
let silent = {}; // part -> epoch seconds
let rules = null;
// Who has none of these on the page does not miss the process.
const NEEDS = { console: "vp-console, .vp-to-console", transfer: "vp-upload, [href^='/transfer/']" };

class VpFreshness extends HTMLElement {
  connectedCallback() {
    document.addEventListener("vp:freshness", this.heard);
    document.addEventListener("vp:change", this.moved);
    // Lists and trees fill themselves after the page has come.
    this.shown = new MutationObserver(() => { cancelAnimationFrame(this.frame); this.frame = requestAnimationFrame(this.say); });
    this.shown.observe(document.getElementById("main"), { childList: true, subtree: true, attributeFilter: ["data-host"] });
    this.say();
  }

  disconnectedCallback() {
    document.removeEventListener("vp:freshness", this.heard);
    document.removeEventListener("vp:change", this.moved);
    this.shown.disconnect();
    cancelAnimationFrame(this.frame);
  }

  heard = ({ detail }) => {
    ({ stale, silent } = detail);
    grey(Object.keys(stale));
    this.say();
  };

  // A machine that moves takes its row along to another host.
  moved = ({ detail: { what, id, fields } }) => {
    if (what !== "domain" || fields.hypervisor === undefined) return;
    for (const element of document.querySelectorAll(`[data-host][data-uuid="${CSS.escape(id)}"]`)) element.dataset.host = fields.hypervisor ?? "";
  };

  say = () => {
    const said = [this.unwatched(), ...this.silent()].filter(Boolean).join(" ");
    const words = this.querySelector(".vp-freshness-text");
    this.hidden = !said;
    if (words.textContent !== said) words.textContent = said;
  };

  unwatched() {
    const shown = new Set([...document.querySelectorAll("#main [data-host]")].map((element) => element.dataset.host));
    const unwatched = [...shown].filter((id) => stale[id]?.[1] === "watcher");
    if (!unwatched.length) return "";
    const since = Math.min(...unwatched.map((id) => stale[id][0] || Infinity));
    const { all, some, never } = this.dataset;
    const text = unwatched.length === shown.size ? (Number.isFinite(since) ? all : never) : some;
    return text.replace("%time", Number.isFinite(since) ? clockTime(since) : "").replace("%count", unwatched.length).replace("%of", shown.size);
  }

  silent() {
    const always = this.dataset.parts.split(" ");
    const concern = (part) => always.includes(part) || (part in NEEDS && document.querySelector(`#main :is(${NEEDS[part]})`));
    return Object.entries(silent).filter(([part]) => concern(part)).map(([part, since]) => word(`silent.${part}`, clockTime(since)));
  }
}

// A style sheet of the page's own: rows come and go, and a rule is there for all of them.
function grey(ids) {
  rules ??= new CSSStyleSheet();
  if (!document.adoptedStyleSheets.includes(rules)) document.adoptedStyleSheets = [...document.adoptedStyleSheets, rules];
  const hosts = ids.filter((id) => /^\d+$/.test(id));
  const parts = ["vp-state", "vp-spark", "vp-meter", "vp-rate", ".vp-since", ".vp-load", ".vp-last-screen img"];
  const within = hosts.map((id) => `:is([data-host="${id}"], [hypervisor="${id}"])`);
  const selectors = within.flatMap((host) => [...parts.map((part) => `${host} ${part}`), `vp-state${host}`]);
  rules.replaceSync(selectors.length ? `${selectors.join(",")} { filter: grayscale(1); opacity: 0.6; }` : "");
}

// The page's elements ask what the state means; "" for a host of which all is known.
export function whyStale(hypervisor) {
  return stale[hypervisor]?.[1] ?? "";
}

// What an operation waits for, whose queue nobody serves; "" where somebody does.
export function whyWaiting(queue) {
  const since = silent[queue] ?? silent.redis;
  return since === undefined ? "" : word("waits_for_worker", clockTime(since));
}

customElements.define("vp-freshness", VpFreshness);
