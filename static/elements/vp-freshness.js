// <vp-freshness hidden data-watcher="… %s …" …>: says on every page which of what it shows is old, and since when.
// The socket tells of hosts whose rows may be old (live.js, vp:freshness). What stands within [data-host="id"] and is a
// state or a value is greyed; the banner speaks of hosts that the page shows and that nobody watches.

import { clockTime } from "./local-times.js";

let stale = {}; // host id -> [epoch seconds, why]
let rules = null;

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
    stale = detail.stale;
    grey(Object.keys(stale));
    this.say();
  };

  // A machine that moves takes its row along to another host.
  moved = ({ detail: { what, id, fields } }) => {
    if (what !== "domain" || fields.hypervisor === undefined) return;
    for (const element of document.querySelectorAll(`[data-host][data-uuid="${CSS.escape(id)}"]`)) element.dataset.host = fields.hypervisor ?? "";
  };

  say = () => {
    const shown = new Set([...document.querySelectorAll("#main [data-host]")].map((element) => element.dataset.host));
    const unwatched = [...shown].filter((id) => stale[id]?.[1] === "watcher");
    const words = this.querySelector(".vp-freshness-text");
    this.hidden = !unwatched.length;
    if (!unwatched.length) return;
    const since = Math.min(...unwatched.map((id) => stale[id][0] || Infinity));
    const { all, some, never } = this.dataset;
    const text = unwatched.length === shown.size ? (Number.isFinite(since) ? all : never) : some;
    const said = text.replace("%time", Number.isFinite(since) ? clockTime(since) : "").replace("%count", unwatched.length).replace("%of", shown.size);
    if (words.textContent !== said) words.textContent = said;
  };
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

customElements.define("vp-freshness", VpFreshness);
