// <vp-hardware>: the Hardware tab. Knows which line of the list is open, whether somebody has typed in its form, and what
// becomes of a change that was asked for. What somebody types is never overwritten: they are told, and load it themselves.

import { confirmed } from "./vp-confirm.js";

const ENDED = new Set(["succeeded", "failed", "cancelled", "interrupted"]);
const REMEMBERED = 50;

class VpHardware extends HTMLElement {
  sent = "";
  ended = new Map();
  typedAtFirst = "";
  before = new Set();
  isAdded = false;

  connectedCallback() {
    this.addEventListener("input", this.typed);
    this.addEventListener("change", this.typed);
    this.addEventListener("keydown", this.walk);
    this.addEventListener("click", this.clicked);
    this.addEventListener("htmx:confirm", this.leaving);
    this.addEventListener("htmx:afterSettle", this.arrived);
    this.addEventListener("vp:toast", this.accepted);
    document.addEventListener("vp:change", this.heard);
    this.opened();
  }

  disconnectedCallback() {
    document.removeEventListener("vp:change", this.heard);
  }

  get pane() {
    return this.querySelector("#hardware-pane");
  }

  get part() {
    return this.pane.firstElementChild;
  }

  get form() {
    return this.pane.querySelector("form.vp-hardware-form");
  }

  get list() {
    return this.querySelector("#vm-hardware-list");
  }

  // What the list names.
  get shows() {
    return [...this.list.querySelectorAll("a[data-show]")].map((link) => link.dataset.show);
  }

  get isTyped() {
    return Boolean(this.form) && written(this.form) !== this.typedAtFirst;
  }

  // --- which line is open

  opened() {
    this.typedAtFirst = this.form?.hasAttribute("data-typed") ? "" : this.form ? written(this.form) : "";
    this.sent = "";
    this.mark();
    this.showApply();
  }

  mark() {
    const show = this.part?.dataset.show;
    for (const link of this.querySelectorAll(".vp-hardware-side a[data-show]")) {
      if (link.dataset.show === show) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  // Up and down through the list; Enter opens.
  walk = (event) => {
    if (!["ArrowDown", "ArrowUp"].includes(event.key) || !event.target.matches("a[data-show]")) return;
    const links = [...this.list.querySelectorAll("a[data-show]")].filter((link) => link.offsetParent);
    const next = links[links.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)];
    next?.focus();
    event.preventDefault();
  };

  clicked = (event) => {
    if (event.target.closest(".vp-hardware-back")) {
      this.removeAttribute("data-chosen");
      this.list.querySelector("[aria-current]")?.focus();
      event.preventDefault();
    }
    const more = event.target.closest(".vp-hardware-minor");
    if (!more) return;
    const isShown = this.toggleAttribute("data-all");
    more.setAttribute("aria-expanded", String(isShown));
  };

  // Another line would take away what was typed in this one.
  leaving = async (event) => {
    if (!event.detail.elt.matches("a[data-show]") || !this.isTyped || this.sent) return;
    event.preventDefault();
    const { discard, discardText, discardYes } = this.dataset;
    if (await confirmed({ title: discard, text: discardText, yes: discardYes, danger: true })) event.detail.issueRequest(true);
  };

  arrived = (event) => {
    if (event.target.id === "hardware-pane") this.arrivedPart(event);
    if (event.target.id === "vm-hardware-list") this.arrivedList();
  };

  arrivedPart(event) {
    this.opened();
    if (event.detail.requestConfig?.elt?.matches?.("a[data-show]")) {
      this.setAttribute("data-chosen", "");
      this.isAdded = false;
    }
    const error = this.pane.querySelector("[aria-invalid], .alert-danger");
    if (error) (error.matches("[aria-invalid]") ? error : this.pane.querySelector(".alert-danger")).focus?.();
  }

  // --- what changed meanwhile

  arrivedList() {
    const made = this.isAdded ? this.shows.find((show) => !this.before.has(show)) : undefined;
    this.mark();
    if (made) {
      this.isAdded = false;
      this.open(made);
    } else if (this.part.dataset.show === "pending") this.open("pending");
    else if (this.form && this.list.dataset.sha256 !== this.form.elements.base_sha256?.value) this.changedMeanwhile();
    else this.askTiming();
  }

  changedMeanwhile() {
    if (this.sent) return;
    if (!this.isTyped) {
      this.open(this.part.dataset.show);
      return;
    }
    const notice = this.pane.querySelector(".vp-hardware-meanwhile");
    if (notice) notice.hidden = false;
  }

  askTiming() {
    const timing = this.pane.querySelector("#hardware-timing");
    if (timing && timing.dataset.active !== this.list.dataset.active) window.htmx.trigger(timing, "vp-ask");
  }

  open(show) {
    window.htmx.ajax("GET", `${this.dataset.pane}?show=${encodeURIComponent(show)}`, { target: this.pane, swap: "innerHTML" });
  }

  // --- what was typed, and what becomes of it

  typed = (event) => {
    if (event.target.closest("#hardware-pane")) this.showApply();
  };

  showApply() {
    const button = this.form?.querySelector(".vp-hardware-apply");
    if (button && this.form.hasAttribute("data-changes")) button.disabled = !this.isTyped;
  }

  accepted = ({ detail, target }) => {
    if (!detail.task || !target.closest?.("#hardware-pane")) return;
    this.sent = detail.task;
    this.before = new Set(this.shows);
    if (this.ended.has(this.sent)) this.settle(this.ended.get(this.sent));
  };

  heard = ({ detail: { what, id, fields } }) => {
    if (what !== "operation" || !ENDED.has(fields?.state)) return;
    this.ended.set(id, fields.state);
    if (this.ended.size > REMEMBERED) this.ended.delete(this.ended.keys().next().value);
    if (id === this.sent) this.settle(fields.state);
  };

  // What was refused stays as it was typed; what was done is what the form shows from now on.
  settle(state) {
    this.sent = "";
    if (state !== "succeeded") {
      this.showApply();
      return;
    }
    this.isAdded = this.part.dataset.show.startsWith("add:");
    this.typedAtFirst = this.form ? written(this.form) : "";
    this.showApply();
    this.arrivedListSoon();
  }

  // The list may have been fetched before the operation was over.
  arrivedListSoon() {
    if (this.isAdded) {
      this.arrivedList();
      this.list.soon?.();
    } else this.open(this.part.dataset.show);
  }
}

// All that a form would send, as one text; when it applies is no change.
function written(form) {
  const pairs = [...new FormData(form)].filter(([name]) => name !== "when" && !name.startsWith("was-"));
  return JSON.stringify(pairs);
}

customElements.define("vp-hardware", VpHardware);
