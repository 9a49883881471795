// <vp-tasks src="/tasks/">: the drawer of operations. Filled once, then from live messages; one of mine that fails or
// takes long shows itself. Rows are made of the <template id="task-row">. A bulk request is one row with one bar; its
// children are fetched when it is opened, and live from then on.

import { wholeTime } from "./local-times.js";
import { progressWords } from "./progress-words.js";
import { remember } from "./shell.js";
import { duration } from "./units.js";
import { whyWaiting } from "./vp-freshness.js";
import { visible, word } from "./words.js";

const UNFINISHED = new Set(["queued", "running"]);
const FAILED = new Set(["failed", "interrupted"]);
const AT_MOST = 60;
const LONG_MS = 3000;
const LINGERS_MS = 8000;

class VpTasks extends HTMLElement {
  tasks = new Map();
  rows = new Map();
  opened = new Set();
  // Every bulk request that was ever heard of.
  parents = new Set();

  connectedCallback() {
    this.list = this.querySelector(".vp-tasks-rows");
    this.template = document.getElementById("task-row");
    this.button = document.querySelector(".vp-tasks-toggle");
    this.button.addEventListener("click", this.toggle);
    this.querySelector(".vp-tasks-close").addEventListener("click", this.toggle);
    document.addEventListener("vp:change", this.heard);
    document.addEventListener("vp:resync", this.fetch);
    document.addEventListener("vp:freshness", this.refill);
    this.ticking = setInterval(() => this.tick(), 1000);
    this.shown = document.documentElement.dataset.tasks === "open";
    this.fetch();
  }

  disconnectedCallback() {
    document.removeEventListener("vp:change", this.heard);
    document.removeEventListener("vp:resync", this.fetch);
    document.removeEventListener("vp:freshness", this.refill);
    clearInterval(this.ticking);
  }

  get shown() {
    return !this.hidden;
  }

  set shown(on) {
    this.hidden = !on;
    this.button.setAttribute("aria-expanded", String(on));
    if (on) this.button.classList.remove("has-failure");
    this.count();
  }

  toggle = () => {
    this.opensItself = false;
    this.shown = !this.shown;
    remember("tasks.open", this.shown ? "1" : "0");
  };

  // From a notice about it.
  reveal(id) {
    this.shown = true;
    const row = this.rows.get(id);
    row?.scrollIntoView({ block: "nearest" });
    row?.querySelector("a[href], button:not([hidden])")?.focus({ preventScroll: true });
  }

  fetch = async () => {
    let tasks = [];
    try {
      const answer = await fetch(this.getAttribute("src"));
      if (!answer.ok || answer.redirected) return;
      ({ tasks } = await answer.json());
    } catch {
      return;
    }
    this.tasks.clear();
    this.rows.clear();
    this.list.replaceChildren();
    for (const task of tasks) {
      this.tasks.set(task.id, task);
      this.list.append(this.row(task));
    }
    this.count();
  };

  async fetchChildren(id) {
    const row = this.rows.get(id);
    const list = row?.querySelector(".vp-task-children");
    if (!list) return;
    let tasks = [];
    try {
      const answer = await fetch(`${this.getAttribute("src")}?parent=${id}`);
      if (!answer.ok || answer.redirected) return;
      ({ tasks } = await answer.json());
    } catch {
      return;
    }
    if (!this.opened.has(id)) return;
    for (const child of [...list.children]) this.forget(child.dataset.id);
    list.replaceChildren();
    for (const task of tasks) {
      this.tasks.set(task.id, task);
      list.append(this.row(task));
    }
  }

  open(id, on) {
    const row = this.rows.get(id);
    const list = row.querySelector(".vp-task-children");
    row.querySelector(".vp-task-toggle").setAttribute("aria-expanded", String(on));
    list.hidden = !on;
    if (on) {
      this.opened.add(id);
      this.fetchChildren(id);
    } else {
      this.opened.delete(id);
      for (const child of [...list.children]) this.forget(child.dataset.id);
    }
  }

  heard = ({ detail: { what, id, fields } }) => {
    if (what !== "operation") return;
    const known = this.tasks.get(id);
    if (!known && !fields.kind) return;
    // Of children, only those of an opened parent are shown; whoever may not see the parent sees them by themselves.
    const whole = known?.parent ?? fields.parent;
    const parent = this.parents.has(whole) ? whole : "";
    if (parent && !this.opened.has(parent)) return;
    const before = known?.state;
    const task = { id, progress: {}, outcome: "", ...known, ...fields };
    // The worker tells how far it is, and may not know yet that it shall stop.
    task.cancel_requested_at ??= known?.cancel_requested_at;
    this.tasks.set(id, task);
    if (known) this.fill(this.rows.get(id), task);
    else (parent ? this.rows.get(parent)?.querySelector(".vp-task-children") : this.list)?.prepend(this.row(task));
    if (before !== task.state) this.stateChanged(task, !known);
    while (this.list.children.length > AT_MOST) this.forget(this.list.lastElementChild.dataset.id);
    this.count();
  };

  // What they wait for has changed.
  refill = () => {
    for (const [id, task] of this.tasks) if (UNFINISHED.has(task.state)) this.fill(this.rows.get(id), task);
  };

  forget(id) {
    for (const child of this.rows.get(id)?.querySelectorAll(".vp-task-children > [data-id]") ?? []) this.forget(child.dataset.id);
    this.opened.delete(id);
    this.rows.get(id)?.remove();
    this.rows.delete(id);
    this.tasks.delete(id);
  }

  stateChanged(task, isNew) {
    if (task.parent || task.requested_by !== document.body.dataset.user) return;
    if (FAILED.has(task.state)) {
      if (!this.shown) this.button.classList.add("has-failure");
      const title = word("failed", `${task.subject_name}: ${task.label}`);
      document.dispatchEvent(new CustomEvent("vp:toast", { detail: { kind: "error", title, text: task.outcome, task: task.id } }));
    } else if (isNew) {
      // What is over in a moment needs no drawer; what takes longer is worth watching.
      setTimeout(() => this.showWhatTakesLong(task.id), LONG_MS);
    } else if (!UNFINISHED.has(task.state)) {
      if (task.state === "succeeded") document.dispatchEvent(new CustomEvent("vp:toast", { detail: { kind: "success", title: `${task.subject_name}: ${task.label}`, text: task.outcome, task: task.id } }));
      setTimeout(() => this.hideAgain(), LINGERS_MS);
    }
  }

  showWhatTakesLong(id) {
    if (this.shown || !UNFINISHED.has(this.tasks.get(id)?.state) || innerWidth <= 860) return;
    this.opensItself = true;
    this.shown = true;
  }

  hideAgain() {
    const isBusy = this.running() > 0;
    if (!this.opensItself || isBusy || this.matches(":hover, :focus-within")) return;
    this.opensItself = false;
    this.shown = false;
  }

  row(task) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    row.dataset.id = task.id;
    this.rows.set(task.id, row);
    this.fill(row, task);
    row.querySelector(".vp-task-toggle").addEventListener("click", () => this.open(task.id, !this.opened.has(task.id)));
    if (this.opened.has(task.id)) this.open(task.id, true);
    const cancel = row.querySelector(".vp-task-cancel");
    cancel.setAttribute("hx-post", `/operations/${task.id}/cancel/`);
    window.htmx?.process(row);
    return row;
  }

  fill(row, task) {
    const part = (name) => row.querySelector(`:scope > .vp-task-line .vp-task-${name}`);
    row.dataset.state = task.state;
    text(part("state"), word(`state.${task.state}`));
    part("state").className = `vp-task-state vp-outcome is-${task.state}`;
    text(part("kind"), task.label);
    const name = part("name");
    text(name, task.subject_name);
    const url = task.progress?.children ? `/operations/?parent=${task.id}` : task.url;
    if (!url) name.removeAttribute("href");
    else if (name.getAttribute("href") !== url) name.href = url;
    part("toggle").hidden = !task.progress?.children;
    row.classList.toggle("is-parent", Boolean(task.progress?.children));
    if (task.progress?.children) this.parents.add(task.id);
    text(part("route"), visible(task.target_hypervisor_name ? `${task.hypervisor_name} → ${task.target_hypervisor_name}` : task.hypervisor_name ?? ""));
    text(part("who"), task.requested_by ?? "");
    text(part("outcome"), UNFINISHED.has(task.state) ? unfinishedWords(task) : visible(task.outcome));
    part("outcome").title = part("outcome").textContent;
    const bar = part("bar");
    bar.hidden = task.state !== "running";
    if (task.progress?.percent === undefined) bar.removeAttribute("value");
    else bar.value = task.progress.percent;
    const canStop = task.state === "queued" || task.can_be_cancelled;
    part("cancel").hidden = !UNFINISHED.has(task.state) || !canStop || Boolean(task.cancel_requested_at);
    this.time(row, task);
  }

  time(row, task) {
    const from = task.started_at ?? task.requested_at;
    if (!from) return;
    const seconds = (task.ended_at ?? Date.now() / 1000) - from;
    text(row.querySelector(".vp-task-time"), task.ended_at && seconds < 10 ? `${Math.max(0, seconds).toFixed(1)} s` : duration(seconds));
    const when = row.querySelector(".vp-task-when");
    if (!when.dateTime) {
      const moment = new Date(task.requested_at * 1000);
      when.dateTime = moment.toISOString();
      when.textContent = moment.toLocaleTimeString([], { hourCycle: "h23" });
      when.title = wholeTime(moment);
    }
  }

  tick() {
    for (const [id, task] of this.tasks) if (UNFINISHED.has(task.state)) this.time(this.rows.get(id), task);
  }

  // A bulk request counts once, whether it is opened or not.
  running() {
    return [...this.tasks.values()].filter((task) => !task.parent && UNFINISHED.has(task.state)).length;
  }

  count() {
    const running = this.running();
    const badge = this.button.querySelector(".vp-tasks-count");
    const failed = this.button.classList.contains("has-failure");
    badge.hidden = !running && !failed;
    badge.textContent = failed && !running ? "!" : running;
    this.classList.toggle("is-empty", !this.tasks.size);
  }
}

function unfinishedWords(task) {
  const words = whyWaiting(task.queue) || progressWords(task.progress) || stepWords(task.steps);
  return [task.cancel_requested_at ? word("cancelling") : "", words].filter(Boolean).join(" · ");
}

// What a request of several steps is at.
function stepWords(steps) {
  const now = steps?.findLast((step) => step.state === "doing" || step.state === "undoing");
  if (!now) return "";
  return now.state === "undoing" ? word("undoing", now.label) : now.label;
}

function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

customElements.define("vp-tasks", VpTasks);
