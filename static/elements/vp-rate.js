// <vp-rate domain="uuid" of="disk|net" off>: bytes a second, both directions together; their parts in the tooltip.
// `off`: nothing.

import { domainOf, follow, followUsage } from "./live.js";
import { rate } from "./units.js";
import { followOff, latestUsage } from "./usage.js";

const PLACES = { disk: [2, 3], net: [4, 5] };

class VpRate extends HTMLElement {
  static observedAttributes = ["off"];

  connectedCallback() {
    const domain = domainOf(this);
    this.text = (this.shadowRoot ?? this.attachShadow({ mode: "open" })).appendChild(document.createTextNode(""));
    this.ends = [followUsage(domain, this), follow(`domain:${domain}`, this)];
    latestUsage(domain).then((usage) => {
      if (usage?.latest.length && !this.text.data) this.applyUsage(usage.at, usage.latest);
    });
  }

  disconnectedCallback() {
    for (const end of this.ends) end();
    this.text.remove();
  }

  applyUsage(at, values) {
    if (this.hasAttribute("off")) return;
    const [first, second] = PLACES[this.getAttribute("of")].map((place) => values[place]);
    this.text.data = rate(first + second);
    this.classList.toggle("is-idle", first + second < 1);
    this.title = `↓ ${rate(first)}  ↑ ${rate(second)}`;
  }

  applyChange(fields) {
    followOff(this, fields);
  }

  attributeChangedCallback() {
    if (!this.text || !this.hasAttribute("off")) return;
    this.text.data = "";
    this.title = "";
  }
}

customElements.define("vp-rate", VpRate);
