// <vp-meter domain="uuid" total="KiB" off>: memory used of what the machine has, as a bar and in words; `off`: none.

import { domainOf, follow, followUsage } from "./live.js";
import { memory } from "./units.js";
import { followOff, latestUsage, sheet } from "./usage.js";
import { word } from "./words.js";

const STYLE = sheet(`
  :host { display: flex; align-items: center; gap: 8px; }
  div { flex: none; width: 56px; height: 5px; border-radius: 3px; background: var(--vp-sunken); box-shadow: inset 0 0 0 1px var(--vp-line); overflow: hidden; }
  i { display: block; height: 100%; width: 0; border-radius: 3px; background: var(--vp-chart-1); }
  span { white-space: nowrap; }
  small { color: var(--vp-muted); font-size: inherit; }
  @container list (max-width: 760px) { div { display: none; } }
`);

class VpMeter extends HTMLElement {
  static observedAttributes = ["off", "total"];

  connectedCallback() {
    if (!this.shadowRoot) {
      this.attachShadow({ mode: "open" }).adoptedStyleSheets = [STYLE];
      this.shadowRoot.innerHTML = '<div aria-hidden="true"><i></i></div><span></span>';
    }
    const domain = domainOf(this);
    this.ends = [followUsage(domain, this), follow(`domain:${domain}`, this)];
    this.used = null;
    this.isMeasured = false;
    this.show();
    latestUsage(domain).then((usage) => {
      if (usage?.latest.length && !this.isMeasured) this.applyUsage(usage.at, usage.latest);
    });
  }

  disconnectedCallback() {
    for (const end of this.ends) end();
  }

  attributeChangedCallback() {
    if (!this.shadowRoot || !this.isConnected) return;
    if (this.hasAttribute("off")) {
      this.used = null;
      this.isMeasured = false;
    }
    this.show();
  }

  applyUsage(at, values) {
    if (this.hasAttribute("off")) return;
    this.used = values[1];
    this.isMeasured = true;
    this.show();
  }

  applyChange(fields) {
    if (fields.memory_kib) this.setAttribute("total", fields.memory_kib);
    followOff(this, fields);
  }

  show() {
    const total = Number(this.getAttribute("total"));
    const [words, bar] = [this.shadowRoot.querySelector("span"), this.shadowRoot.querySelector("i")];
    bar.style.width = this.used === null || !total ? "0" : `${Math.min(100, (100 * this.used) / total).toFixed(1)}%`;
    bar.parentElement.style.visibility = this.used === null ? "hidden" : "";
    const of = document.createElement("small");
    of.textContent = this.used === null ? memory(total) : ` / ${memory(total)}`;
    // It runs, and its guest does not tell what it uses.
    const isSilent = this.isMeasured && this.used === null;
    if (isSilent) of.textContent += ` · ${word("not_reported")}`;
    bar.parentElement.style.display = isSilent ? "none" : "";
    words.replaceChildren(this.used === null ? "" : memory(Math.min(this.used, total)), of);
    this.title = isSilent ? word("why_not_reported") : this.used > total ? memory(this.used) : "";
  }
}

customElements.define("vp-meter", VpMeter);
