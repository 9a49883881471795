// <vp-ago at="epoch seconds">12 s</vp-ago>: how long ago, ticking. `follow="hypervisor:3" field="seen_at"` keeps it true;
// `restarts="state"`: a change of that field counts from now when it comes without a time.

import { follow } from "./live.js";
import { duration } from "./units.js";

const ticking = new Set();
setInterval(() => { for (const element of ticking) element.show(); }, 1000);

class VpAgo extends HTMLElement {
  static observedAttributes = ["at"];

  connectedCallback() {
    ticking.add(this);
    if (this.hasAttribute("follow")) this.end = follow(this.getAttribute("follow"), this);
    this.show();
  }

  disconnectedCallback() {
    ticking.delete(this);
    this.end?.();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.show();
  }

  applyChange(fields) {
    const at = fields[this.getAttribute("field")] ?? (fields[this.getAttribute("restarts")] && Date.now() / 1000);
    if (at) this.setAttribute("at", at);
  }

  show() {
    const at = Number(this.getAttribute("at"));
    if (!at) return;
    const text = duration(Date.now() / 1000 - at);
    if (text !== this.textContent) this.textContent = text;
  }
}

customElements.define("vp-ago", VpAgo);
