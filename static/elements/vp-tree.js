// <vp-tree src="/tree/">: the inventory. Fetched after the first paint, a host's machines when it is opened; remembers
// what is open, and opens to the page's place; arrow keys walk through it.

import { remember } from "./shell.js";

const STRUCTURE_MS = 900;
const LEAVES_MS = 60;

class VpTree extends HTMLElement {
  leafTimers = new Map();
  revealed = new Set(); // the branches that are open because pages were there
  place = undefined; // the id of the host that the page belongs to; null for none

  connectedCallback() {
    this.open = new Set(read("tree.open"));
    this.closed = new Set(read("tree.closed"));
    this.innerHTML = `<nav class="vp-branches"></nav>`;
    this.branches = this.querySelector("nav");
    this.branches.setAttribute("aria-label", this.dataset.label);
    this.branches.addEventListener("click", this.clicked);
    this.addEventListener("keydown", this.keyed);
    document.addEventListener("vp:change", this.heard);
    document.addEventListener("vp:resync", this.fetch);
    document.addEventListener("vp:navigated", this.reveal);
    this.fetch();
  }

  disconnectedCallback() {
    document.removeEventListener("vp:change", this.heard);
    document.removeEventListener("vp:resync", this.fetch);
    document.removeEventListener("vp:navigated", this.reveal);
  }

  fetchSoon(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.fetch, wait);
  }

  fetch = async () => {
    const answer = await ask(this.getAttribute("src"));
    if (answer === null) return;
    const before = new Map([...this.branches.querySelectorAll(".vp-host[data-loaded]")].map((host) => [host.dataset.key, host]));
    const fresh = document.createElement("nav");
    fresh.innerHTML = answer;
    for (const branch of fresh.querySelectorAll("[data-key]")) {
      const { key } = branch.dataset;
      const isOpen = this.revealed.has(key) || (branch.classList.contains("vp-host") ? this.open.has(key) : !this.closed.has(key));
      set(branch, isOpen);
      const known = before.get(key);
      if (known && isOpen) {
        branch.querySelector("ul").replaceChildren(...known.querySelector("ul").childNodes);
        branch.dataset.loaded = "1";
        this.loadSoon(branch.dataset.host);
      }
    }
    this.branches.replaceChildren(...fresh.childNodes);
    window.htmx?.process(this.branches);
    for (const host of this.branches.querySelectorAll(".vp-host[data-open][data-src]:not([data-loaded])")) this.load(host);
    if (this.place === undefined) this.reveal();
    else this.markCurrent();
  };

  // A click beside the name opens and closes; the name itself is a link.
  clicked = ({ target }) => {
    if (target.closest("a")) return;
    const branch = target.closest(".vp-branch-row")?.parentElement;
    if (branch) this.toggle(branch, !("open" in branch.dataset));
  };

  toggle(branch, isOpen) {
    set(branch, isOpen);
    this.revealed.delete(branch.dataset.key);
    const isHost = branch.classList.contains("vp-host");
    const kept = isHost ? this.open : this.closed;
    if (isOpen === isHost) kept.add(branch.dataset.key);
    else kept.delete(branch.dataset.key);
    remember(isHost ? "tree.open" : "tree.closed", JSON.stringify([...kept]));
    if (isHost && isOpen && !branch.dataset.loaded) this.load(branch);
  }

  async load(host) {
    host.dataset.loaded = "1";
    const answer = await ask(host.dataset.src);
    if (answer === null) {
      delete host.dataset.loaded;
      return;
    }
    const list = host.querySelector("ul");
    list.innerHTML = answer;
    window.htmx?.process(list);
    host.querySelector(".vp-count").textContent = list.querySelectorAll("li[data-uuid]").length;
    this.markCurrent();
  }

  host(id) {
    return this.branches.querySelector(`.vp-host[data-host="${id}"]`);
  }

  loadSoon(id) {
    clearTimeout(this.leafTimers.get(String(id)));
    this.leafTimers.set(String(id), setTimeout(() => {
      this.leafTimers.delete(String(id));
      const host = this.host(id);
      if (host?.dataset.loaded && host.dataset.src) this.load(host);
    }, LEAVES_MS));
  }

  heard = ({ detail: { what, id, op, fields } }) => {
    if (what === "hypervisor_pool" || (what === "hypervisor" && (op !== "update" || "name" in fields || "hypervisor_pool" in fields))) {
      this.fetchSoon(LEAVES_MS);
    } else if (what === "domain" && (op !== "update" || "hypervisor" in fields || "vanished" in fields)) {
      this.moved(id, op === "remove" || fields.vanished, fields.hypervisor);
    }
  };

  // The leaf goes at once from where it was; where it came to, and the numbers, are asked for.
  moved(uuid, isGone, hypervisor) {
    const leaf = this.branches.querySelector(`li[data-uuid="${CSS.escape(uuid)}"]`);
    const before = leaf?.closest(".vp-host");
    if (before && !isGone && hypervisor !== undefined && String(hypervisor) === before.dataset.host) return;
    if (before && (isGone || hypervisor !== undefined)) {
      leaf.remove();
      const count = before.querySelector(".vp-count");
      count.textContent = Math.max(0, Number(count.textContent) - 1);
    }
    if (hypervisor !== undefined && hypervisor !== null && !isGone) this.loadSoon(hypervisor);
    // The page goes with its machine.
    if (hypervisor && location.pathname.startsWith(`/vms/${uuid}/`)) {
      this.place = String(hypervisor);
      this.openTo(this.host(hypervisor));
    }
    this.fetchSoon(STRUCTURE_MS);
  }

  // Opens to where the page is; that stays open until somebody closes it or loads another page.
  reveal = () => {
    if (!this.branches.children.length) return;
    // The page's host leads there, wherever below it the page is.
    const above = [location.pathname, ...[...document.querySelectorAll("#main .vp-pretitle a")].map((link) => link.pathname)];
    this.place = above.map((path) => path.match(/^\/hypervisors\/(\d+)\//)?.[1]).find(Boolean) ?? null;
    this.openTo(this.place && this.host(this.place));
    this.markCurrent();
  };

  openTo(host) {
    for (let branch = host; branch; branch = branch.parentElement.closest(".vp-branch")) {
      this.revealed.add(branch.dataset.key);
      set(branch, true);
    }
    if (host && !host.dataset.loaded) this.load(host);
  }

  // The page's own line, or that of the host that it belongs to.
  markCurrent = () => {
    for (const link of this.branches.querySelectorAll("[aria-current]")) link.removeAttribute("aria-current");
    // A machine's snapshot has an address of its own: the tabs say whose it is.
    const tab = document.querySelector("#main .vp-tabs a")?.pathname ?? "";
    const path = (tab.startsWith("/vms/") ? tab : location.pathname).match(/^\/(?:vms|hypervisors\/pools|hypervisors)\/[^/]+\//)?.[0];
    const own = path && this.branches.querySelector(`a[href="${CSS.escape(path)}"]`);
    const link = own ?? (this.place && this.host(this.place)?.querySelector(".vp-branch-row > a"));
    if (!link) return;
    link.setAttribute("aria-current", own ? "page" : "true");
    if (link.href !== this.marked) link.scrollIntoView({ block: "nearest" });
    this.marked = link.href;
  };

  keyed = (event) => {
    const stops = [...this.branches.querySelectorAll(".vp-twist, li a")].filter((stop) => stop.checkVisibility());
    const row = event.target.closest(".vp-branch-row");
    const here = stops.indexOf(row?.querySelector(".vp-twist") ?? event.target.closest("li a"));
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps) {
      stops[here + steps[event.key]]?.focus();
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const branch = event.target.closest(".vp-branch");
      if (!branch) return;
      if (!row) branch.querySelector(".vp-twist").focus();
      else this.toggle(branch, event.key === "ArrowRight");
    } else if (event.key === "Enter" && event.target.matches(".vp-twist") && row.querySelector("a")) {
      row.querySelector("a").click();
    } else {
      return;
    }
    event.preventDefault();
  };
}

function set(branch, isOpen) {
  branch.toggleAttribute("data-open", isOpen);
  branch.querySelector(".vp-twist").setAttribute("aria-expanded", String(isOpen));
}

async function ask(url) {
  try {
    const answer = await fetch(url, { headers: { "HX-Request": "true" } });
    return answer.ok && !answer.redirected && !answer.headers.has("HX-Redirect") ? await answer.text() : null;
  } catch {
    return null;
  }
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(`vmportal.${key}`) ?? "[]");
  } catch {
    return [];
  }
}

customElements.define("vp-tree", VpTree);
