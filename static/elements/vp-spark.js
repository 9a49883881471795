// <vp-spark domain="uuid" off>: CPU of the last minutes as a line, and the latest value; `off`: nothing.

import { domainOf, follow, followUsage } from "./live.js";
import { percent } from "./units.js";
import { followOff, latestUsage, sheet } from "./usage.js";

const POINTS = 40;
const WIDTH = 80;
const HEIGHT = 20;
const STYLE = sheet(`
  :host { display: flex; align-items: center; gap: 8px; }
  svg { width: ${WIDTH}px; height: ${HEIGHT}px; flex: none; overflow: visible; }
  polyline { fill: none; stroke: var(--vp-chart-1); stroke-width: 1.25; stroke-linejoin: round; }
  polygon { fill: var(--vp-chart-1); opacity: .13; }
  line { stroke: var(--vp-line); }
  span { min-width: 3.4em; text-align: right; }
  @container list (max-width: 640px) { svg { display: none; } }
`);
const MARKUP = `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-hidden="true" preserveAspectRatio="none">
  <line x1="0" y1="${HEIGHT - 0.5}" x2="${WIDTH}" y2="${HEIGHT - 0.5}"/><polygon/><polyline/></svg><span></span>`;

class VpSpark extends HTMLElement {
  static observedAttributes = ["off"];

  connectedCallback() {
    if (!this.shadowRoot) this.build();
    const domain = domainOf(this);
    this.values = [];
    this.ends = [followUsage(domain, this), follow(`domain:${domain}`, this)];
    latestUsage(domain).then((usage) => {
      if (!usage || this.hasAttribute("off")) return;
      this.values = [...usage.cpu, ...this.values].slice(-POINTS);
      this.draw();
    });
  }

  disconnectedCallback() {
    for (const end of this.ends) end();
  }

  build() {
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [STYLE];
    root.innerHTML = MARKUP;
    [this.area, this.line, this.number] = ["polygon", "polyline", "span"].map((name) => root.querySelector(name));
  }

  applyUsage(at, values) {
    if (this.hasAttribute("off")) return;
    this.values.push(values[0]);
    if (this.values.length > POINTS) this.values.shift();
    this.draw();
  }

  applyChange(fields) {
    followOff(this, fields);
  }

  attributeChangedCallback() {
    if (!this.shadowRoot || !this.hasAttribute("off")) return;
    this.values = [];
    this.draw();
  }

  draw() {
    const { values } = this;
    const step = WIDTH / (POINTS - 1);
    const start = WIDTH - (values.length - 1) * step;
    const points = values.map((value, i) => `${(start + i * step).toFixed(1)},${(HEIGHT - 1 - (Math.min(100, value) / 100) * (HEIGHT - 2)).toFixed(1)}`);
    this.line.setAttribute("points", points.join(" "));
    this.area.setAttribute("points", values.length > 1 ? `${start.toFixed(1)},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` : "");
    this.number.textContent = values.length ? percent(values.at(-1)) : "";
  }
}

customElements.define("vp-spark", VpSpark);
