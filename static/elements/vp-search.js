// <vp-search src="/search/">: the one search. Proposes machines and hosts while somebody types; Enter opens the first.
// Beside a list of machines it is the list's filter: the list narrows at once, Enter opens its first line.
// Keyboard: https://www.w3.org/WAI/ARIA/apg/patterns/combobox/

import { showSearch } from "./shell.js";

const WAIT_MS = 160;

class VpSearch extends HTMLElement {
  timer = 0;
  pending = null; // the text that is asked for, and the promise of its answer
  shown = ""; // the text whose proposals are shown

  connectedCallback() {
    this.field = this.querySelector("input");
    this.found = this.querySelector(".vp-found");
    this.addEventListener("input", this.typed);
    this.addEventListener("keydown", this.keyed);
    this.addEventListener("submit", this.submitted);
    this.addEventListener("focusout", this.left);
    this.found.addEventListener("click", this.close);
    document.addEventListener("vp:navigated", this.arrived);
    this.arrived();
  }

  get list() {
    return document.querySelector("vp-list[src]");
  }

  get text() {
    return this.field.value.trim();
  }

  arrived = () => {
    this.close();
    this.field.placeholder = this.list ? this.dataset.list : this.dataset.all;
  };

  typed = () => {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), WAIT_MS);
  };

  // Shows what matches now; resolves when it is shown.
  look() {
    clearTimeout(this.timer);
    const { list, text } = this;
    if (this.pending?.text !== text || this.pending.list !== list) this.pending = { text, list, done: list ? list.narrow(text) : this.propose(text) };
    return this.pending.done;
  }

  async propose(text) {
    const answer = text ? await ask(`${this.getAttribute("src")}?q=${encodeURIComponent(text)}`) : "";
    if (answer === null || text !== this.text) return;
    this.shown = text;
    this.found.innerHTML = answer;
    window.htmx?.process(this.found);
    this.open(Boolean(this.found.children.length) && document.activeElement === this.field);
  }

  open(isOpen) {
    this.found.hidden = !isOpen;
    const hasOptions = isOpen && this.options.length > 0;
    this.field.setAttribute("aria-expanded", String(hasOptions));
    if (hasOptions) this.field.setAttribute("aria-controls", "found-list");
    else for (const name of ["aria-controls", "aria-activedescendant"]) this.field.removeAttribute(name);
  }

  close = () => {
    clearTimeout(this.timer);
    this.pending = null;
    this.shown = "";
    this.found.replaceChildren();
    this.open(false);
  };

  left = ({ relatedTarget }) => {
    if (!this.contains(relatedTarget)) this.close();
  };

  get options() {
    return [...this.found.querySelectorAll("[role=option]")];
  }

  get active() {
    return this.options.find((option) => option.getAttribute("aria-selected") === "true");
  }

  activate(option) {
    for (const one of this.options) one.setAttribute("aria-selected", String(one === option));
    if (option) this.field.setAttribute("aria-activedescendant", option.id);
    option?.scrollIntoView({ block: "nearest" });
  }

  keyed = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.isComposing || event.target !== this.field) return;
    if (step && this.list) {
      if (step > 0) this.list.querySelector("tbody a[href]")?.focus();
    } else if (step && this.found.hidden) {
      this.look();
    } else if (step) {
      const { options } = this;
      const now = options.indexOf(this.active);
      this.activate(options[(now + step + options.length + (now < 0 && step < 0 ? 1 : 0)) % options.length]);
    } else if (event.key === "Escape" && !this.found.hidden) {
      event.stopPropagation();
      this.close();
    } else {
      return;
    }
    event.preventDefault();
  };

  submitted = async (event) => {
    event.preventDefault();
    event.stopPropagation();
    if (this.active) return this.go(this.active);
    const { text } = this;
    if (!text) return;
    await this.look();
    if (text !== this.text) return;
    this.go(this.list ? this.list.querySelector("tbody .c-name a[href]") : this.options[0]);
  };

  go(link) {
    if (!link) return;
    this.field.blur();
    link.click();
    showSearch();
  }
}

async function ask(url) {
  try {
    const answer = await fetch(url, { headers: { "HX-Request": "true" } });
    return answer.ok && !answer.redirected && !answer.headers.has("HX-Redirect") ? await answer.text() : null;
  } catch {
    return null;
  }
}

customElements.define("vp-search", VpSearch);
