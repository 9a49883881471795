// <vp-toasts>: short notices at the corner. Anybody dispatches vp:toast on document:
// {title, text, kind: "info" | "success" | "error", task}. An error stays until it is closed; the rest goes by itself.
// A notice about a task (an operation's id) leads to it in the drawer, and takes the place of the one before.

import { visible } from "./words.js";

const STAYS_MS = 6000;
const AT_MOST = 4;

class VpToasts extends HTMLElement {
  connectedCallback() {
    this.show = ({ detail }) => this.add(detail);
    this.refused = ({ detail }) => this.addRefusal(detail.xhr);
    document.addEventListener("vp:toast", this.show);
    document.addEventListener("htmx:responseError", this.refused);
    document.addEventListener("htmx:sendError", this.unsent);
  }

  disconnectedCallback() {
    document.removeEventListener("vp:toast", this.show);
    document.removeEventListener("htmx:responseError", this.refused);
    document.removeEventListener("htmx:sendError", this.unsent);
  }

  unsent = () => this.add({ kind: "error", title: this.dataset.unsent ?? "The server did not answer", text: "" });

  // A refusal's body is its reason, as plain text.
  addRefusal(xhr) {
    const isText = xhr.getResponseHeader("Content-Type")?.startsWith("text/plain");
    // The proxy in front answers for a process that is away.
    const isAway = [502, 504].includes(xhr.status) || (xhr.status === 503 && !isText);
    this.add({ kind: "error", title: isText ? xhr.responseText : isAway ? this.dataset.unsent : `${xhr.status} ${xhr.statusText}`, text: "" });
  }

  add({ title, text = "", kind = "info", task = "" }) {
    const toast = document.createElement("div");
    if (task) {
      this.querySelector(`[data-task="${CSS.escape(task)}"]`)?.remove();
      toast.dataset.task = task;
    }
    toast.className = `vp-toast is-${kind}`;
    toast.setAttribute("role", kind === "error" ? "alert" : "status");
    const heading = document.createElement("strong");
    const place = task ? Object.assign(document.createElement("button"), { type: "button", className: "vp-link" }) : heading;
    place.textContent = visible(title);
    if (task) {
      heading.append(place);
      place.addEventListener("click", () => document.getElementById("tasks")?.reveal(task));
    }
    const close = document.createElement("button");
    close.type = "button";
    close.className = "vp-icon-button";
    close.textContent = "✕";
    close.setAttribute("aria-label", this.dataset.close ?? "Close");
    close.addEventListener("click", () => toast.remove());
    toast.append(heading, close);
    if (text) {
      const words = document.createElement("p");
      words.textContent = visible(text);
      toast.append(words);
    }
    this.append(toast);
    while (this.children.length > AT_MOST) this.firstElementChild.remove();
    if (kind !== "error") setTimeout(() => toast.remove(), STAYS_MS);
  }
}

customElements.define("vp-toasts", VpToasts);
