// <vp-state domain="uuid" state="running">Running</vp-state>: a state as shape, colour and words; kept true at once.
// With `hypervisor="id"` the same for a host.

import { follow } from "./live.js";
import { word } from "./words.js";

class VpState extends HTMLElement {
  connectedCallback() {
    const domain = this.getAttribute("domain");
    this.end = follow(domain ? `domain:${domain}` : `hypervisor:${this.getAttribute("hypervisor")}`, this);
  }

  disconnectedCallback() {
    this.end?.();
  }

  applyChange(fields, change) {
    const state = change.op === "remove" || fields.vanished ? "vanished" : fields.state ?? fields.status;
    if (!state || state === this.getAttribute("state")) return;
    this.setAttribute("state", state);
    const words = word(`state.${state}`);
    const label = this.querySelector(".vp-state-word");
    if (label) label.textContent = words;
    this.title = fields.state_reason || fields.status_reason || words;
  }
}

customElements.define("vp-state", VpState);
