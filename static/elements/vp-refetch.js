// <vp-refetch id="…" what="hypervisor hypervisor_pool" ids="3" fields="name status">…</vp-refetch>: fetches the page it is on
// again, and morphs itself, when such an object appears, goes, or changes one of the fields. Without `fields`: any change.
// `of="hypervisor:3"`: only those whose field says so, where changes carry it (storage pools, volumes, networks).

import { isBehind } from "./live.js";

const SETTLE_MS = 150;

class VpRefetch extends HTMLElement {
  connectedCallback() {
    document.addEventListener("vp:change", this);
    document.addEventListener("vp:resync", this);
    if (isBehind()) this.refetchSoon();
  }

  disconnectedCallback() {
    document.removeEventListener("vp:change", this);
    document.removeEventListener("vp:resync", this);
    clearTimeout(this.timer);
  }

  handleEvent(event) {
    if (event.type === "vp:resync" || this.concerns(event.detail)) this.refetchSoon();
  }

  concerns({ what, id, op, fields }) {
    if (!words(this, "what").includes(what)) return false;
    const ids = words(this, "ids");
    if (ids.length && !ids.includes(id)) return false;
    const [owner, value] = (this.getAttribute("of") ?? "").split(":");
    if (owner && String(fields[owner]) !== value) return false;
    const wanted = words(this, "fields");
    return op !== "update" || !wanted.length || wanted.some((field) => field in fields);
  }

  refetchSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refetch(), SETTLE_MS);
  }

  refetch() {
    if (!this.isConnected) return;
    // A menu that is open would be closed under the pointer.
    if (this.querySelector("details.vp-menu[open]")) return this.refetchSoon();
    window.htmx.ajax("GET", location.pathname + location.search, {
      source: this, target: this, select: `#${this.id}`, swap: "morph:outerHTML",
    });
  }
}

function words(element, attribute) {
  return (element.getAttribute(attribute) ?? "").split(" ").filter(Boolean);
}

customElements.define("vp-refetch", VpRefetch);
