// <vp-hardware>: the Hardware tab. Knows which line of the list is open, what somebody has typed and not applied, and what
// becomes of a change that was asked for. What somebody types is never overwritten: it is kept when they go elsewhere, and
// when it changes meanwhile they are told, and load it themselves. Ctrl+Enter applies, Escape cancels.

import "./vp-boot-order.js";
import "./vp-conditional-fields.js";
import { draftOf, draftsOf, fill, fillPasswords, written } from "./hardware-drafts.js";
import { confirmed } from "./vp-confirm.js";

const ENDED = new Set(["succeeded", "failed", "cancelled", "interrupted"]);
const REMEMBERED = 50;
// Of what the page fetches by itself: which part it was fetched for.
const ITSELF = "VP-Beside";

class VpHardware extends HTMLElement {
  sent = "";
  sentText = "";
  ended = new Map();
  typedAtFirst = "";
  before = new Set();
  isAdded = false;

  connectedCallback() {
    this.drafts = draftsOf(this.dataset.pane);
    this.addEventListener("input", this.typed);
    this.addEventListener("change", this.typed);
    this.addEventListener("keydown", this.walk);
    this.addEventListener("keydown", this.escaped);
    // Before the XML editor, where it would be another line.
    this.addEventListener("keydown", this.applies, true);
    this.addEventListener("click", this.clicked);
    this.addEventListener("htmx:beforeSwap", this.arriving);
    this.addEventListener("htmx:afterSwap", this.swapped);
    this.addEventListener("htmx:afterSettle", this.arrived);
    this.addEventListener("vp:toast", this.accepted);
    document.addEventListener("vp:change", this.heard);
    // The elements inside come to life first: they decide which fields there are.
    queueMicrotask(() => this.isConnected && this.opened());
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

  get key() {
    return `${this.part.dataset.show} ${this.form?.elements.tab.value}`;
  }

  get isTyped() {
    return Boolean(this.form) && written(this.form) !== this.typedAtFirst;
  }

  // --- which line is open

  opened() {
    const { form } = this;
    const draft = form && this.drafts.get(this.key);
    this.typedAtFirst = form ? written(form) : "";
    if (form?.hasAttribute("data-typed")) {
      // It came back with what was typed in it.
      if (draft) fillPasswords(form, draft);
      this.typedAtFirst = draft?.atFirst ?? "";
    } else if (draft) fill(form, draft, this.typedAtFirst);
    this.sent = draft?.task ?? "";
    this.sentText = draft?.text ?? "";
    this.keep();
    if (draft && this.isBehind) this.changedMeanwhile();
  }

  get isBehind() {
    return Boolean(this.form) && this.list.dataset.sha256 !== this.form.elements.base_sha256.value;
  }

  mark = () => {
    const edited = new Set([...this.drafts.keys()].map((key) => key.slice(0, key.lastIndexOf(" "))));
    if ([...edited].some((show) => show.startsWith("add:"))) edited.add("add");
    for (const link of this.querySelectorAll("a[data-show]")) {
      this.markOne(link, link.dataset.tab ? this.drafts.has(`${link.dataset.show} ${link.dataset.tab}`) : edited.has(link.dataset.show));
    }
    const show = this.part?.dataset.show;
    for (const link of this.querySelectorAll(".vp-hardware-side a[data-show]")) {
      if (link.dataset.show === show) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };

  // Cancel leads to "add", too, and is no part.
  markOne(link, isEdited) {
    const found = link.querySelector(".vp-edited");
    if (!isEdited || link.matches(".vp-hardware-cancel")) found?.remove();
    else if (!found) {
      const name = link.querySelector(".vp-hardware-name");
      const textContent = name ? this.dataset.edited : this.dataset.editedShort;
      const mark = Object.assign(document.createElement("span"), { className: "vp-mark vp-edited", textContent });
      if (name) name.after(mark);
      else link.append(mark);
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

  // Enter alone applies from any field of one line: that is the browser's own.
  applies = (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !event.target.closest("form.vp-hardware-form")) return;
    event.preventDefault();
    event.stopPropagation();
    const button = this.form.querySelector(".vp-hardware-apply");
    if (button && !button.disabled) this.form.requestSubmit(button);
  };

  escaped = async (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || !event.target.closest("form.vp-hardware-form")) return;
    const cancel = this.form.querySelector(".vp-hardware-cancel");
    if (!cancel || !this.isTyped) return;
    event.preventDefault();
    const { discard, discardText, discardYes } = this.dataset;
    if (await confirmed({ title: discard, text: discardText, yes: discardYes, danger: true })) cancel.click();
  };

  clicked = (event) => {
    if (event.target.closest(".vp-hardware-back")) {
      this.removeAttribute("data-chosen");
      this.list.querySelector("[aria-current]")?.focus();
      event.preventDefault();
    }
    if (event.target.closest(".vp-hardware-cancel, .vp-hardware-load")) this.forget();
    const more = event.target.closest(".vp-hardware-minor");
    if (!more) return;
    const isShown = this.toggleAttribute("data-all");
    more.setAttribute("aria-expanded", String(isShown));
  };

  // What this page fetched by itself does not take away what somebody began to type meanwhile, nor the place they are at.
  arriving = (event) => {
    const asked = event.detail.requestConfig?.headers?.[ITSELF];
    if (event.detail.target?.id !== "hardware-pane" || asked === undefined) return;
    if (asked !== encodeURIComponent(this.part.dataset.show)) {
      event.detail.shouldSwap = false;
      return;
    }
    this.focused = this.form?.contains(document.activeElement) ? document.activeElement.name : "";
    if (!this.isTyped) return;
    event.detail.shouldSwap = false;
    this.changedMeanwhile();
  };

  // At once: until it has settled somebody may have typed already.
  swapped = (event) => {
    if (event.target.id === "hardware-pane") this.arrivedPart(event);
    else this.mark();
  };

  arrived = (event) => {
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
    else if (this.focused) this.form?.elements[this.focused]?.focus?.();
    this.focused = "";
  }

  // --- what changed meanwhile

  arrivedList() {
    const made = this.isAdded ? this.shows.find((show) => !this.before.has(show)) : undefined;
    this.mark();
    if (made) {
      this.isAdded = false;
      // Loaded anew, the page shows what was added, and not the form once more.
      history.replaceState(history.state, "", `?show=${encodeURIComponent(made)}`);
      this.open(made);
    } else if (this.part.dataset.show === "pending") this.open("pending");
    else if (this.isBehind) this.changedMeanwhile();
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
    const headers = { [ITSELF]: encodeURIComponent(this.part.dataset.show) };
    const url = `${this.dataset.pane}?show=${encodeURIComponent(show)}`;
    window.htmx.ajax("GET", url, { target: this.pane, swap: "innerHTML", headers });
  }

  // --- what was typed, and what becomes of it

  typed = (event) => {
    if (event.target.closest("#hardware-pane")) this.keep();
  };

  keep() {
    const { form } = this;
    const task = this.sent && form && written(form) === this.sentText ? this.sent : "";
    if (this.isTyped) this.drafts.set(this.key, { ...draftOf(form, this.typedAtFirst), task, text: this.sentText, isSent: Boolean(task) });
    else this.drafts.delete(this.key);
    const button = form?.querySelector(".vp-hardware-apply");
    if (button && form.hasAttribute("data-changes")) button.disabled = !this.isTyped;
    this.mark();
  }

  forget() {
    this.drafts.delete(this.key);
    this.typedAtFirst = this.form ? written(this.form) : "";
    this.sent = "";
  }

  accepted = ({ detail, target }) => {
    if (!detail.task || !target.closest?.("#hardware-pane")) return;
    this.sent = detail.task;
    this.sentText = this.form ? written(this.form) : "";
    this.before = new Set(this.shows);
    this.keep();
    if (this.ended.has(this.sent)) this.heardEnd(this.sent, this.ended.get(this.sent));
  };

  heard = ({ detail: { what, id, fields } }) => {
    if (what !== "operation" || !ENDED.has(fields?.state)) return;
    this.ended.set(id, fields.state);
    if (this.ended.size > REMEMBERED) this.ended.delete(this.ended.keys().next().value);
    this.heardEnd(id, fields.state);
  };

  // Of what is shown, or of a part that somebody has left since.
  heardEnd(id, state) {
    for (const [key, draft] of this.drafts) {
      if (draft.task !== id) continue;
      if (state === "succeeded") this.drafts.delete(key);
      else this.drafts.set(key, { ...draft, task: "", isSent: false });
    }
    if (id === this.sent) this.settle(state);
    this.mark();
  }

  // What was refused stays as it was typed; what was done is what the form shows from now on.
  settle(state) {
    const isSame = this.form && written(this.form) === this.sentText;
    this.sent = "";
    if (state !== "succeeded" || !isSame) {
      this.keep();
      return;
    }
    this.isAdded = this.part.dataset.show.startsWith("add:");
    this.forget();
    this.keep();
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

customElements.define("vp-hardware", VpHardware);
