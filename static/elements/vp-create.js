// <vp-create>: the form of a new virtual machine. Each change asks the server, which answers with the whole form as it is
// then; what was typed meanwhile is never overwritten, and while it is being made nothing is asked.

const TYPING_MS = 350;
const CHOOSING_MS = 30;
const MAKING = new Set(["run", "edit"]);

class VpCreate extends HTMLElement {
  changes = 0;
  askedAt = 0;
  making = false;
  checking = false;
  timer = 0;

  connectedCallback() {
    this.addEventListener("input", (event) => this.changed(event, TYPING_MS));
    this.addEventListener("change", (event) => this.changed(event, event.target.matches("select, [type=radio], [type=checkbox]") ? CHOOSING_MS : TYPING_MS));
    this.addEventListener("vp-uploaded", (event) => this.uploaded(event));
    this.addEventListener("htmx:configRequest", ({ detail }) => this.asked(detail));
    this.addEventListener("htmx:beforeSwap", (event) => this.answered(event));
    this.addEventListener("htmx:afterRequest", ({ detail }) => this.ended(detail));
    this.addEventListener("htmx:afterSettle", () => this.leadOn());
    if (window.matchMedia("(max-width: 860px)").matches) this.querySelector("#summary-facts")?.removeAttribute("open");
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  get form() {
    return this.querySelector("form");
  }

  changed(event, wait) {
    // A file that is chosen, or a field of an upload, is no part of the form.
    if (event.target.closest("vp-upload")) return;
    this.changes += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), wait);
  }

  check() {
    if (!this.isConnected || this.making) return;
    // htmx would send the button that was clicked last.
    this.checking = true;
    this.form.requestSubmit(this.querySelector("#creation-check"));
    this.checking = false;
  }

  asked({ elt, parameters }) {
    if (elt !== this.form) return;
    clearTimeout(this.timer);
    if (this.checking) parameters.do = "check";
    this.askedAt = this.changes;
    this.making = MAKING.has(parameters.do);
    this.showMaking(parameters.do);
  }

  // An older answer would undo what was typed since; the next question is on its way.
  answered(event) {
    if (event.detail.elt !== this.form || event.detail.xhr.status === 422 || this.askedAt === this.changes) return;
    if (event.detail.target?.id === "creation") event.detail.shouldSwap = false;
  }

  ended({ elt, successful, xhr }) {
    if (elt !== this.form) return;
    if (this.making && successful && xhr.getResponseHeader("HX-Redirect")) return;
    this.making = false;
    this.showMaking("");
  }

  // The pressed button shows it, and none can be pressed meanwhile.
  showMaking(pressed) {
    if (this.making) this.setAttribute("aria-busy", "true");
    else this.removeAttribute("aria-busy");
    for (const button of this.querySelectorAll(".vp-summary-buttons button")) {
      button.disabled = this.making;
      button.toggleAttribute("data-busy", this.making && button.value === pressed);
    }
  }

  // To the first field that was refused, when it was to be made.
  leadOn() {
    if (!this.form?.hasAttribute("data-submitted")) return;
    this.form.removeAttribute("data-submitted");
    const errors = [...this.querySelectorAll(".vp-field-error")].filter((error) => error.textContent.trim());
    const error = errors.find((candidate) => candidate.closest(":not(details)")?.offsetParent) ?? errors[0];
    if (!error) return;
    for (let around = error.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
    const place = error.closest(".vp-field, .vp-targets, .vp-create-rows");
    const control = place?.querySelector("input:not([type=hidden]), select, textarea") ?? place?.querySelector("button");
    (control ?? place)?.focus();
    error.scrollIntoView({ block: "center" });
  }

  // What was just uploaded is what is meant.
  uploaded({ detail }) {
    const { method } = this.form.elements;
    const select = this.form.elements[{ cloud_image: "image", import: "imported" }[method.value] ?? method.value];
    if (!(select instanceof HTMLSelectElement) || !detail?.volume) return;
    const value = String(detail.volume);
    if (![...select.options].some((option) => option.value === value)) select.add(new Option(detail.name, value));
    select.value = value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
    this.querySelector("#create-upload")?.close();
    select.focus();
  }
}

customElements.define("vp-create", VpCreate);
