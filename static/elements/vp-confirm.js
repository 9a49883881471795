// <vp-confirm>: asks before what cannot be undone, naming the machines. `confirmed({title, about, text, names, yes, danger})`
// resolves to true or false; an htmx element says the same with data-confirm, data-confirm-text, data-confirm-yes.
// `about` is {name, host, title} of the one machine, in data-confirm-name, -host and -title: each has an element of its own,
// since whoever may describe a machine could title it like another. "%s" in the question stands for the name.

import { visible, word } from "./words.js";

const NAMES_SHOWN = 8;

class VpConfirm extends HTMLElement {
  // What was said yes to, and is about to be asked for once more.
  meant = new WeakSet();

  connectedCallback() {
    this.dialog = this.querySelector("dialog");
    document.body.addEventListener("htmx:confirm", this.ask);
  }

  disconnectedCallback() {
    document.body.removeEventListener("htmx:confirm", this.ask);
  }

  ask = async (event) => {
    const { elt } = event.detail;
    const { confirm, confirmName, confirmHost, confirmTitle, confirmText, confirmYes, confirmDanger, confirmOf } = elt.dataset;
    if (!confirm || this.meant.delete(elt)) return;
    event.preventDefault();
    const about = { name: confirmName, host: confirmHost, title: confirmTitle };
    const isMeant = await this.confirmed({ title: confirm, about, text: confirmText, yes: confirmYes, danger: Boolean(confirmDanger) });
    if (!isMeant) return;
    // What it was asked about is another by now: that is to be answered.
    if (elt.dataset.confirmOf !== confirmOf) await this.ask(event);
    else if (elt.isConnected) event.detail.issueRequest(true);
    else this.askSuccessor(elt);
  };

  // Drawn anew while the question stood: htmx sends nothing for what has left the page. Where its successor asks the same
  // of the same, that is answered already; else it asks its own question.
  askSuccessor(former) {
    const successor = [...document.querySelectorAll("[data-confirm][hx-post]")].find((one) => sends(one) === sends(former));
    if (!successor) return;
    if (asked(successor) === asked(former)) this.meant.add(successor);
    if (successor.tagName === "FORM") successor.requestSubmit();
    else successor.click();
  }

  confirmed({ title, about = {}, text = "", names = [], yes, danger = false }) {
    const part = (name) => this.dialog.querySelector(name);
    part(".vp-dialog-title").replaceChildren(...withName(title, about.name));
    for (const row of this.dialog.querySelectorAll(".vp-identity [data-of]")) {
      row.querySelector("dd").textContent = visible(about[row.dataset.of] ?? "");
      row.hidden = !about[row.dataset.of];
    }
    part(".vp-dialog-text").textContent = text;
    part(".vp-dialog-text").hidden = !text;
    const shown = names.slice(0, NAMES_SHOWN);
    if (names.length > shown.length) shown.push(word("and_more", names.length - shown.length));
    part(".vp-dialog-names").replaceChildren(...shown.map((name) => Object.assign(document.createElement("li"), { textContent: visible(name) })));
    const button = part(".vp-dialog-yes");
    button.textContent = yes;
    button.className = `btn vp-dialog-yes ${danger ? "btn-danger" : "btn-primary"}`;
    this.dialog.returnValue = "";
    this.dialog.showModal();
    // Enter, pressed once too often, does no harm.
    (danger ? part("button[value='']") : button).focus();
    return new Promise((resolve) => {
      this.dialog.addEventListener("close", () => resolve(this.dialog.returnValue === "yes"), { once: true });
    });
  }
}

// Where it is sent to, and with what; each page has a token of its own.
function sends(element) {
  const fields = element.tagName === "FORM" ? [...new FormData(element)].filter(([name]) => name !== "csrfmiddlewaretoken") : [];
  return JSON.stringify([element.getAttribute("hx-post"), element.getAttribute("hx-vals"), element.name, element.value, fields]);
}

const asked = (element) => JSON.stringify(Object.entries(element.dataset).filter(([name]) => name.startsWith("confirm")));

// The question's words with the name in an element of its own.
function withName(question, name) {
  if (name === undefined) return [question];
  const [before, after = ""] = question.split("%s");
  return [before, Object.assign(document.createElement("bdi"), { textContent: visible(name) }), after];
}

customElements.define("vp-confirm", VpConfirm);

export const confirmed = (question) => document.querySelector("vp-confirm").confirmed(question);
