// <vp-busy domain="uuid">: the unfinished operation of a machine as a small badge; empty while there is none.

import { domainOf, follow } from "./live.js";
import { word } from "./words.js";

const UNFINISHED = new Set(["queued", "running"]);

class VpBusy extends HTMLElement {
  connectedCallback() {
    this.endDomain = follow(`operations-of:${domainOf(this)}`, this);
    this.watchOperation(this.getAttribute("operation"));
    this.show();
  }

  disconnectedCallback() {
    this.endDomain?.();
    this.endOperation?.();
  }

  static observedAttributes = ["operation", "kind", "percent"];

  attributeChangedCallback(name, before, now) {
    if (!this.isConnected) return;
    if (name === "operation" && before !== now) this.watchOperation(now);
    this.show();
  }

  watchOperation(id) {
    if (id === this.operation) return;
    this.endOperation?.();
    this.operation = id;
    this.endOperation = id ? follow(`operation:${id}`, this) : null;
  }

  applyChange(fields, change) {
    if (fields.state && !UNFINISHED.has(fields.state)) {
      if (change.id && change.id !== this.operation) return;
      for (const name of ["operation", "kind", "percent"]) this.removeAttribute(name);
      return;
    }
    if (fields.kind) this.setAttribute("kind", fields.kind);
    if (fields.progress?.percent !== undefined) this.setAttribute("percent", fields.progress.percent);
    if (change.id) this.setAttribute("operation", change.id);
  }

  show() {
    const kind = this.getAttribute("kind");
    const percent = this.getAttribute("percent");
    this.textContent = kind && this.operation ? word(`kind.${kind}`) + (percent ? ` ${Math.round(percent)} %` : "…") : "";
  }
}

customElements.define("vp-busy", VpBusy);
