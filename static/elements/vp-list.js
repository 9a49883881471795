// <vp-list src="/vms/?…">: the list of machines: fetches itself anew when it must, and keeps the selection.

import { isBehind } from "./live.js";
import { showSearch } from "./shell.js";

const AFTER_NEW_MS = 30;
const AFTER_COUNTS_MS = 1500;
const AT_LEAST_MS = 300;
const COUNTS_AT_LEAST_MS = 5000;
const SORT_FIELDS = { name: ["name"], state: ["state"], host: ["hypervisor"], vcpu: ["vcpu_count"], memory: ["memory_kib"] };

class VpList extends HTMLElement {
  selected = new Map(); // uuid -> name
  allMatching = false;
  anchor = null;
  timer = 0;
  due = Infinity;
  fetchedAt = performance.now();

  connectedCallback() {
    this.addEventListener("click", this.clicked, true);
    this.addEventListener("change", this.changed);
    document.addEventListener("vp:change", this.heard);
    document.addEventListener("vp:resync", this.fetchNow);
    document.addEventListener("vp:select-none", this.forget);
    document.addEventListener("keydown", this.keyed);
    document.addEventListener("visibilitychange", this.seen);
    document.body.addEventListener("htmx:afterSwap", this.swapped);
    this.showSelection();
    if (isBehind()) this.fetchSoon(AFTER_NEW_MS, AT_LEAST_MS);
  }

  disconnectedCallback() {
    document.removeEventListener("vp:change", this.heard);
    document.removeEventListener("vp:resync", this.fetchNow);
    document.removeEventListener("vp:select-none", this.forget);
    document.removeEventListener("keydown", this.keyed);
    document.removeEventListener("visibilitychange", this.seen);
    document.body.removeEventListener("htmx:afterSwap", this.swapped);
    clearTimeout(this.timer);
  }

  // --- staying true ----------------------------------------------------------------------------------------------

  heard = ({ detail: { what, id, op, fields } }) => {
    if (what !== "domain") return;
    const comesOrGoes = op !== "update" || fields.vanished !== undefined;
    const isSorted = (SORT_FIELDS[this.dataset.sort] ?? []).some((field) => field in fields);
    const isFiltered = (this.dataset.state && "state" in fields) || (this.dataset.filtered && ("name" in fields || "hypervisor" in fields));
    if (comesOrGoes || isFiltered || (isSorted && this.dataset.sort !== "state")) this.fetchSoon(AFTER_NEW_MS, AT_LEAST_MS);
    else if ("state" in fields) this.fetchSoon(AFTER_COUNTS_MS, COUNTS_AT_LEAST_MS);
  };

  fetchSoon(wait, atLeast) {
    const due = Math.max(performance.now() + wait, this.fetchedAt + atLeast);
    if (due >= this.due) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(this.fetchNow, due - performance.now());
  }

  seen = () => {
    if (!document.hidden && this.due !== Infinity) this.fetchNow();
  };

  fetchNow = () => {
    clearTimeout(this.timer);
    // Not under somebody's hands, and not for nobody's eyes.
    if (document.hidden) return;
    if (this.querySelector("details[open]")) {
      this.timer = setTimeout(this.fetchNow, 700);
      return;
    }
    this.due = Infinity;
    this.fetchedAt = performance.now();
    this.load(this.getAttribute("src"));
  };

  load(url) {
    return window.htmx?.ajax("GET", url, { target: this, swap: "morph:outerHTML", source: this });
  }

  swapped = ({ detail }) => {
    if (detail.target?.id === "list" || detail.elt === this) this.showSelection();
  };

  // --- going elsewhere in the list -------------------------------------------------------------------------------

  clicked = (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest(".vp-swaps-list a[href]");
    if (link) {
      event.preventDefault();
      event.stopPropagation();
      this.go(link.getAttribute("href"));
      return;
    }
    const kind = event.target.closest(".vp-bulk [data-kind]");
    if (kind) this.ask(kind);
    else if (event.target.closest(".vp-bulk-none")) this.selectNone();
    else if (event.target.closest(".vp-bulk-all")) this.selectAllMatching();
    else if (!event.target.closest("a, button, input, summary, details, label")) event.target.closest("tr[data-href]")?.querySelector("a[href]")?.click();
  };

  // By what is typed into the search on top, letter by letter: one entry of the history.
  async narrow(text) {
    const url = new URL(this.getAttribute("src"), location.origin);
    url.searchParams.delete("page");
    if (text) url.searchParams.set("q", text);
    else url.searchParams.delete("q");
    this.narrowed = text;
    await this.load(url.pathname + url.search);
    if (this.narrowed === text) history.replaceState({ htmx: true }, "", url);
  }

  async go(search) {
    for (const menu of this.querySelectorAll("details[open]")) menu.open = false;
    const url = new URL(search, location.origin + "/vms/");
    await this.load(url.pathname + url.search);
    history.pushState({ htmx: true }, "", url);
    showSearch();
    this.querySelector(".vp-table-frame")?.scrollTo({ top: 0 });
    document.getElementById("main").scrollTop = 0;
  }

  // --- selection -------------------------------------------------------------------------------------------------

  rows() {
    return [...this.querySelectorAll("tbody > tr[data-uuid]")];
  }

  changed = ({ target }) => {
    if (target.classList.contains("vp-check-all")) {
      for (const row of this.rows()) this.mark(row, target.checked);
    } else if (target.matches(".c-check input")) {
      this.markUpTo(target.closest("tr"), target.checked, this.withShift);
    } else {
      return;
    }
    this.allMatching = false;
    this.showSelection();
  };

  keyed = (event) => {
    this.withShift = event.shiftKey;
    const row = document.activeElement?.closest?.("tr[data-uuid]");
    if (event.key.toLowerCase() !== "x" || event.ctrlKey || event.metaKey || !row || !this.contains(row)) return;
    this.markUpTo(row, !this.selected.has(row.dataset.uuid), event.shiftKey);
    this.showSelection();
  };

  markUpTo(row, on, isRange) {
    const rows = this.rows();
    const [from, to] = [rows.indexOf(this.anchor), rows.indexOf(row)];
    const range = isRange && from >= 0 ? rows.slice(Math.min(from, to), Math.max(from, to) + 1) : [row];
    for (const one of range) this.mark(one, on);
    this.anchor = row;
  }

  mark(row, on) {
    if (on) this.selected.set(row.dataset.uuid, row.querySelector(".c-name a").textContent);
    else this.selected.delete(row.dataset.uuid);
  }

  forget = () => this.selectNone();

  selectNone() {
    this.selected.clear();
    this.allMatching = false;
    this.showSelection();
  }

  selectAllMatching() {
    for (const row of this.rows()) this.mark(row, true);
    this.allMatching = true;
    this.showSelection();
  }

  get total() {
    return Number(this.dataset.total);
  }

  get count() {
    return this.allMatching ? this.total : this.selected.size;
  }

  showSelection() {
    const rows = this.rows();
    for (const row of rows) {
      const on = this.selected.has(row.dataset.uuid);
      row.classList.toggle("is-selected", on);
      row.querySelector(".c-check input").checked = on;
    }
    const here = rows.filter((row) => this.selected.has(row.dataset.uuid)).length;
    const all = this.querySelector(".vp-check-all");
    if (all) {
      all.checked = here > 0 && here === rows.length;
      all.indeterminate = here > 0 && here < rows.length;
    }
    const bar = this.querySelector(".vp-bulk");
    if (!bar) return;
    bar.hidden = !this.selected.size;
    const count = bar.querySelector(".vp-bulk-count");
    count.textContent = count.dataset.one.replace("%s", this.count);
    const tooMany = this.count > Number(bar.dataset.most);
    const why = bar.querySelector(".vp-bulk-too-many");
    why.hidden = !tooMany;
    for (const button of bar.querySelectorAll("[data-kind]")) {
      button.disabled = tooMany;
      button.title = tooMany ? why.textContent : "";
    }
    const more = bar.querySelector(".vp-bulk-all");
    more.hidden = this.allMatching || here < rows.length || this.total <= this.selected.size;
    more.textContent = more.dataset.words.replace("%s", this.total);
  }

  chosenValues() {
    return this.allMatching ? { all: "1", count: this.count } : { uuid: [...this.selected.keys()] };
  }

  allMatchingQuery() {
    return this.allMatching ? `?${this.dataset.query}` : "";
  }

  // --- asking for many -------------------------------------------------------------------------------------------

  // A dialog says what it would do to which, and asks; what was asked for is selected no more (vp:select-none).
  async ask(button) {
    const bar = button.closest(".vp-bulk");
    for (const menu of bar.querySelectorAll("details[open]")) menu.open = false;
    const url = button.dataset.preflight ?? bar.dataset.preflight.replace("KIND", button.dataset.kind);
    await window.htmx.ajax("POST", url + this.allMatchingQuery(), { target: "#dialog-content", swap: "innerHTML", values: this.chosenValues(), source: bar });
  }
}

customElements.define("vp-list", VpList);
// Shift is known before the change event of a checkbox comes.
document.addEventListener("pointerdown", (event) => {
  const list = document.querySelector("vp-list");
  if (list) list.withShift = event.shiftKey;
}, true);
