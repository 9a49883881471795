// <vp-host-banner hypervisor="3" hidden>: shown while the host does not answer.

import { follow } from "./live.js";

class VpHostBanner extends HTMLElement {
  connectedCallback() {
    this.end = follow(`hypervisor:${this.getAttribute("hypervisor")}`, this);
  }

  disconnectedCallback() {
    this.end?.();
  }

  applyChange({ status, status_reason: reason }) {
    if (status === undefined) return;
    this.hidden = status === "online";
    if (reason !== undefined) this.querySelector(".vp-host-reason").textContent = reason;
  }
}

customElements.define("vp-host-banner", VpHostBanner);
