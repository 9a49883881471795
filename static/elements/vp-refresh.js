// <vp-refresh id src="…" on="operation domain:uuid">: a part of the page that is fetched anew after such changes.
// "operation" is any of them; "operation@uuid" those on one machine; "domain:uuid" one object;
// "status:id" a host when its status differs from data-status.

import { isBehind } from "./live.js";

const WAIT_MS = 40;
const AT_LEAST_MS = 400;

class VpRefresh extends HTMLElement {
  fetchedAt = 0;
  timer = 0;
  operations = new Map();

  connectedCallback() {
    document.addEventListener("vp:change", this.heard);
    document.addEventListener("vp:resync", this.soon);
    document.addEventListener("visibilitychange", this.seen);
    if (isBehind()) this.soon();
  }

  disconnectedCallback() {
    document.removeEventListener("vp:change", this.heard);
    document.removeEventListener("vp:resync", this.soon);
    document.removeEventListener("visibilitychange", this.seen);
    clearTimeout(this.timer);
  }

  heard = ({ detail }) => {
    if (this.isMeant(detail) && !this.isProgressOnly(detail)) this.soon();
  };

  isMeant({ what, id, fields }) {
    const names = (this.getAttribute("on") ?? "").split(" ");
    if (what === "hypervisor" && names.includes(`status:${id}`)) {
      const isNew = fields.status !== undefined && fields.status !== this.dataset.status;
      if (isNew) this.dataset.status = fields.status;
      return isNew;
    }
    return names.includes(what) || names.includes(`${what}:${id}`) || (fields.domain !== undefined && names.includes(`${what}@${fields.domain}`));
  }

  // How far an operation is, is shown by those who follow it.
  isProgressOnly({ what, id, fields }) {
    if (what !== "operation") return false;
    const now = `${fields.state} ${fields.cancel_requested_at ?? ""}`;
    const isSame = this.operations.get(id) === now;
    this.operations.set(id, now);
    return isSame;
  }

  seen = () => {
    if (!document.hidden && this.missed) this.fetch();
  };

  soon = () => {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.fetch, Math.max(WAIT_MS, this.fetchedAt + AT_LEAST_MS - performance.now()));
  };

  fetch = () => {
    this.missed = document.hidden;
    if (this.missed) return;
    if (this.querySelector("details[open]")) {
      this.soon();
      return;
    }
    this.fetchedAt = performance.now();
    window.htmx.ajax("GET", this.getAttribute("src"), { target: this, swap: "morph:outerHTML", source: this });
  };
}

customElements.define("vp-refresh", VpRefresh);
