// <vp-host-banner hypervisor="3" status="online" hidden>: shown while the host does not answer, or is `disabled`.

import { follow } from "./live.js";

class VpHostBanner extends HTMLElement {
  connectedCallback() {
    this.end = follow(`hypervisor:${this.getAttribute("hypervisor")}`, this);
  }

  disconnectedCallback() {
    this.end?.();
  }

  applyChange({ status, status_reason: reason, admin_state: adminState }) {
    if (status !== undefined) this.setAttribute("status", status);
    if (adminState !== undefined) this.toggleAttribute("disabled", adminState === "disabled");
    const isDisabled = this.hasAttribute("disabled");
    this.hidden = !isDisabled && this.getAttribute("status") === "online";
    this.querySelector(".vp-host-disabled").hidden = !isDisabled;
    this.querySelector(".vp-host-away").hidden = isDisabled;
    if (reason !== undefined) this.querySelector(".vp-host-reason").textContent = reason;
  }
}

customElements.define("vp-host-banner", VpHostBanner);
