// <vp-load of="hypervisor:3" field="cpu_percent" total="100"><progress …></progress><span class="vp-load-text">…</span></vp-load>
// A bar with its number, kept true; without `of` only coloured by how full it is,
// and with `plain` not even that. `unit="memory"`: KiB of `total` KiB.

import { follow } from "./live.js";
import { memory, percent } from "./units.js";

class VpLoad extends HTMLElement {
  connectedCallback() {
    const followed = this.getAttribute("of");
    if (followed) this.end = follow(followed, this);
    this.colour();
  }

  disconnectedCallback() {
    this.end?.();
  }

  applyChange(fields) {
    const value = fields[this.getAttribute("field")];
    if (typeof value !== "number") return;
    const bar = this.querySelector("progress");
    bar.value = value;
    this.querySelector(".vp-load-text").textContent = this.getAttribute("unit") === "memory" ? memory(value) : percent(value);
    this.colour();
  }

  colour() {
    if (this.hasAttribute("plain")) return;
    const bar = this.querySelector("progress");
    const share = bar.value / bar.max;
    bar.classList.toggle("is-high", share >= 0.8 && share < 0.93);
    bar.classList.toggle("is-full", share >= 0.93);
  }
}

customElements.define("vp-load", VpLoad);
