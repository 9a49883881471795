// <vp-rate domain="uuid" of="disk|net">: bytes a second, both directions together; their parts in the tooltip.

import { domainOf, follow, followUsage } from "./live.js";
import { rate } from "./units.js";
import { latestUsage, OFF } from "./usage.js";

const PLACES = { disk: [2, 3], net: [4, 5] };

class VpRate extends HTMLElement {
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
    const [first, second] = PLACES[this.getAttribute("of")].map((place) => values[place]);
    this.text.data = rate(first + second);
    this.classList.toggle("is-idle", first + second < 1);
    this.title = `↓ ${rate(first)}  ↑ ${rate(second)}`;
  }

  applyChange(fields) {
    if (OFF.has(fields.state)) this.text.data = "";
  }
}

customElements.define("vp-rate", VpRate);
