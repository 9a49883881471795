// <vp-confirm>: asks before what cannot be undone, naming the machines. `confirmed({title, text, names, yes, danger})`
// resolves to true or false; an htmx element says the same with data-confirm, data-confirm-text, data-confirm-yes.

import { word } from "./words.js";

const NAMES_SHOWN = 8;

class VpConfirm extends HTMLElement {
  connectedCallback() {
    this.dialog = this.querySelector("dialog");
    document.body.addEventListener("htmx:confirm", this.ask);
  }

  disconnectedCallback() {
    document.body.removeEventListener("htmx:confirm", this.ask);
  }

  ask = async (event) => {
    const { confirm, confirmText, confirmYes, confirmDanger } = event.detail.elt.dataset;
    if (!confirm) return;
    event.preventDefault();
    if (await this.confirmed({ title: confirm, text: confirmText, yes: confirmYes, danger: Boolean(confirmDanger) })) event.detail.issueRequest(true);
  };

  confirmed({ title, text = "", names = [], yes, danger = false }) {
    const part = (name) => this.dialog.querySelector(name);
    part(".vp-dialog-title").textContent = title;
    part(".vp-dialog-text").textContent = text;
    part(".vp-dialog-text").hidden = !text;
    const shown = names.slice(0, NAMES_SHOWN);
    if (names.length > shown.length) shown.push(word("and_more", names.length - shown.length));
    part(".vp-dialog-names").replaceChildren(...shown.map((name) => Object.assign(document.createElement("li"), { textContent: name })));
    const button = part(".vp-dialog-yes");
    button.textContent = yes;
    button.className = `btn vp-dialog-yes ${danger ? "btn-danger" : "btn-primary"}`;
    this.dialog.returnValue = "";
    this.dialog.showModal();
    button.focus();
    return new Promise((resolve) => {
      this.dialog.addEventListener("close", () => resolve(this.dialog.returnValue === "yes"), { once: true });
    });
  }
}

customElements.define("vp-confirm", VpConfirm);

export const confirmed = (question) => document.querySelector("vp-confirm").confirmed(question);
