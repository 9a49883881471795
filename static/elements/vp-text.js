// <vp-text of="domain:uuid" field="name">web1</vp-text>: one field as text, kept true; without `of` of its row's machine.
// `unit="memory"` reads KiB. `data-link` is the address of host 0: the link around it leads to the host it is on now.

import { domainOf, follow } from "./live.js";
import { memory } from "./units.js";

class VpText extends HTMLElement {
  connectedCallback() {
    this.end = follow(this.getAttribute("of") ?? `domain:${domainOf(this)}`, this);
  }

  disconnectedCallback() {
    this.end?.();
  }

  applyChange(fields) {
    const value = fields[this.getAttribute("field")];
    if (value === undefined || value === null) return;
    const text = this.getAttribute("unit") === "memory" ? memory(value) : String(value);
    if (text !== this.textContent) this.textContent = text;
    if (this.dataset.link && fields.hypervisor) this.closest("a").href = this.dataset.link.replace("/0/", `/${fields.hypervisor}/`);
  }
}

customElements.define("vp-text", VpText);
