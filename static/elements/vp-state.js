// <vp-state state="running" domain="uuid">Running</vp-state>: a state as shape, colour and words; kept true at once.
// Without `domain` it is its row's ([data-uuid]); with `hypervisor="id"` it is a host's.

import { domainOf, follow } from "./live.js";
import { word } from "./words.js";

class VpState extends HTMLElement {
  connectedCallback() {
    const hypervisor = this.getAttribute("hypervisor");
    this.end = follow(hypervisor ? `hypervisor:${hypervisor}` : `domain:${domainOf(this)}`, this);
  }

  disconnectedCallback() {
    this.end?.();
  }

  applyChange(fields, change) {
    const state = change.op === "remove" || fields.vanished ? "vanished" : this.domainState(fields) ?? this.hostState(fields);
    if (!state || state === this.getAttribute("state")) return;
    this.setAttribute("state", state);
    const words = word(`state.${state}`);
    const label = this.querySelector(".vp-state-word");
    if (label) label.textContent = words;
    this.title = fields.state_reason || fields.status_reason || words;
  }

  // What was saved is off, and goes on where it was: as models.domains.shown_domain_state.
  domainState({ state, has_managed_save: saved }) {
    if (saved !== undefined) this.toggleAttribute("saved", saved);
    const known = state ?? (saved === undefined ? undefined : this.getAttribute("state"));
    if (known === "saved") return this.hasAttribute("saved") ? known : "shutoff";
    return known === "shutoff" && this.hasAttribute("saved") ? "saved" : known;
  }

  // A host's status is the watcher's, its admin state people's: as Hypervisor.shown_state puts them together.
  hostState({ status, admin_state: admin }) {
    if (status) this.setAttribute("status", status);
    if (admin) this.setAttribute("admin", admin);
    const [seen, wanted] = [this.getAttribute("status"), this.getAttribute("admin")];
    return wanted === "disabled" || (wanted === "maintenance" && seen === "online") ? wanted : seen;
  }
}

customElements.define("vp-state", VpState);
