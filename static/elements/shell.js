// What belongs to the frame: boosted navigation into #main, the theme, the inventory's width, menus, the keyboard.

import { resync } from "./live.js";

const root = document.documentElement;

export function remember(key, value) {
  try { localStorage.setItem(`vmportal.${key}`, value); } catch { /* private mode: this page only */ }
}

function remembered(key) {
  try { return localStorage.getItem(`vmportal.${key}`); } catch { return null; }
}

// --- navigation --------------------------------------------------------------------------------------------------

// What somebody types is not overwritten by an answer that comes meanwhile.
if (window.Idiomorph) {
  // A part with data-stays is open or closed as the person left it.
  window.Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => {
    if (name === "open" && node.hasAttribute("data-stays")) return false;
    return name !== "value" || node !== document.activeElement;
  };
  // What an element drew is not in the server's answer, and would be taken for removed.
  window.Idiomorph.defaults.callbacks.beforeNodeMorphed = (node) => !node.hasAttribute?.("data-draws-itself");
}

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  // A reason in plain text is a notice, see vp-toasts; it replaces nothing.
  if (detail.xhr.status >= 400 && detail.xhr.getResponseHeader("Content-Type")?.startsWith("text/plain")) {
    detail.shouldSwap = false;
    detail.isError = true;
  }
  if (!detail.boosted) return;
  const wasAtTop = detail.requestConfig?.path;
  detail.target = document.getElementById("main");
  detail.selectOverride = "#main";
  detail.swapOverride = "outerHTML";
  // A page that is not one of ours (signed out meanwhile, an error page of the proxy) is loaded whole.
  if (!/id="main"/.test(detail.serverResponse) && wasAtTop) {
    detail.shouldSwap = false;
    location.href = wasAtTop;
  }
});

// Error pages are pages too.
document.addEventListener("htmx:responseError", ({ detail }) => {
  if (!detail.boosted) return;
  if (detail.requestConfig.verb === "get") location.href = detail.requestConfig.path;
});

document.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.boosted || detail.elt?.id === "main") arrived();
});
document.addEventListener("htmx:historyRestore", arrived);

// The search on top says what the list is narrowed to, and nothing elsewhere; what somebody types there stays.
export function showSearch() {
  const field = document.getElementById("search");
  if (!field || field === document.activeElement) return;
  field.value = document.querySelector("vp-list") ? new URLSearchParams(location.search).get("q") ?? "" : "";
}

// The list's own filters swap it without a new page.
document.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.target?.id === "list") showSearch();
});

function arrived() {
  showSearch();
  markCurrent();
  showTab();
  closeMenus();
  root.classList.remove("vp-side-over");
  document.getElementById("main")?.focus({ preventScroll: true });
}

// Where the tabs are wider than the page, the chosen one is in sight.
function showTab() {
  for (const tab of document.querySelectorAll(".vp-tabs > [aria-current]")) {
    const [place, tabs] = [tab.getBoundingClientRect(), tab.parentElement.getBoundingClientRect()];
    if (place.right > tabs.right) tab.parentElement.scrollLeft += place.right - tabs.right;
  }
}

// What belongs to a machine and has an address of its own is told by the machine's tabs.
function pathOfPage() {
  const tab = document.querySelector("#main .vp-tabs a");
  return tab?.pathname.startsWith("/vms/") ? tab.pathname : location.pathname;
}

function markCurrent() {
  const here = pathOfPage();
  for (const link of document.querySelectorAll("[data-nav]")) {
    const isCurrent = link.dataset.nav.split(" ").some((path) => here.startsWith(path));
    if (isCurrent) link.setAttribute("aria-current", location.pathname === link.pathname ? "page" : "true");
    else link.removeAttribute("aria-current");
  }
  document.dispatchEvent(new CustomEvent("vp:navigated"));
}

// What one may see has changed: the page shows it, or that it is not for one to see any more.
document.addEventListener("vp:rights", async () => {
  let page = null;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok && answer.status < 500) {
      location.reload();
      return;
    }
    if (answer.ok) page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    // Without a server the page stays; the socket's next greeting makes it look again.
  }
  // With other rights it may be another frame.
  if (page && page.body.className !== document.body.className) {
    location.reload();
    return;
  }
  renew(page?.getElementById("main"));
  const places = page?.querySelector(".vp-nav");
  if (places) {
    document.querySelector(".vp-nav")?.replaceWith(places);
    window.htmx.process(places);
    markCurrent();
  }
  resync();
});

// The page's own part, unless somebody types there or a screen is shown, which looks after itself.
function renew(fresh) {
  const main = document.getElementById("main");
  const isUsed = main.querySelector("vp-console, dialog[open]") || main.contains(document.activeElement?.closest("input, textarea, select"));
  if (!fresh || isUsed) return;
  window.Idiomorph.morph(main, fresh);
  window.htmx.process(main);
}

// --- theme -------------------------------------------------------------------------------------------------------

const NEXT_THEME = { auto: "light", light: "dark", dark: "auto" };

document.querySelector(".vp-theme-toggle")?.addEventListener("click", () => {
  remember("theme", NEXT_THEME[root.dataset.themeChoice] ?? "auto");
  document.dispatchEvent(new CustomEvent("vp:theme"));
});

// --- the inventory on the left -----------------------------------------------------------------------------------

const narrow = window.matchMedia("(max-width: 860px)");
const sideToggle = document.querySelector(".vp-side-toggle");

function sideIsOpen() {
  return narrow.matches ? root.classList.contains("vp-side-over") : root.dataset.side !== "closed";
}

function toggleSide() {
  if (narrow.matches) {
    root.classList.toggle("vp-side-over");
  } else if (root.dataset.side === "closed") {
    delete root.dataset.side;
    remember("side.closed", "0");
  } else {
    root.dataset.side = "closed";
    remember("side.closed", "1");
  }
  sideToggle?.setAttribute("aria-expanded", String(sideIsOpen()));
}

sideToggle?.addEventListener("click", toggleSide);
sideToggle?.setAttribute("aria-expanded", String(sideIsOpen()));
narrow.addEventListener("change", () => sideToggle?.setAttribute("aria-expanded", String(sideIsOpen())));

const grip = document.querySelector(".vp-side-grip");

function setSideWidth(pixels) {
  const width = Math.round(Math.min(520, Math.max(180, pixels)));
  root.style.setProperty("--vp-side-width", `${width}px`);
  grip.setAttribute("aria-valuenow", width);
  remember("side.width", width);
}

if (grip) {
  grip.setAttribute("aria-valuemin", 180);
  grip.setAttribute("aria-valuemax", 520);
  grip.setAttribute("aria-valuenow", remembered("side.width") ?? 264);
  grip.addEventListener("pointerdown", (down) => {
    grip.setPointerCapture(down.pointerId);
    grip.onpointermove = (move) => setSideWidth(move.clientX);
  });
  grip.addEventListener("pointerup", () => { grip.onpointermove = null; });
  grip.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -16, ArrowRight: 16 }[event.key];
    if (step) setSideWidth(Number(grip.getAttribute("aria-valuenow")) + step);
  });
}

// --- menus and dialogs -------------------------------------------------------------------------------------------

function closeMenus(except = null) {
  for (const menu of document.querySelectorAll("details.vp-menu[open]")) {
    if (!menu.contains(except)) menu.open = false;
  }
}

document.addEventListener("click", (event) => {
  closeMenus(event.target.closest("details.vp-menu > summary") ? event.target : null);
  const opener = event.target.closest("[data-opens]");
  if (opener) document.querySelector(opener.dataset.opens)?.showModal();
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog")?.close();
  const copied = event.target.closest("[data-copies]");
  if (copied) copy(copied);
  // A click on the backdrop closes a dialog.
  if (event.target instanceof HTMLDialogElement) event.target.close();
  if (root.classList.contains("vp-side-over") && !event.target.closest(".vp-side, .vp-side-toggle")) toggleSide();
});

// A menu's entries may be fetched when it opens.
document.addEventListener("toggle", async ({ target }) => {
  if (!(target instanceof HTMLDetailsElement) || !target.open || !target.dataset.src || !target.classList.contains("vp-menu")) return;
  const items = target.querySelector(".vp-menu-items");
  // Not those of before, which would go from under the pointer or the focus.
  items.replaceChildren();
  items.setAttribute("aria-busy", "true");
  await window.htmx.ajax("GET", target.dataset.src, { target: items, swap: "innerHTML", source: items });
  items.removeAttribute("aria-busy");
  if (target.open) place(target);
}, true);

// A menu inside something that scrolls would be cut off: it is placed on the screen when it opens.
document.addEventListener("toggle", ({ target }) => {
  if (target instanceof HTMLDetailsElement && target.open && target.classList.contains("vp-menu")) place(target);
}, true);

function place(menu) {
  const items = menu.querySelector(".vp-menu-items");
  const anchor = menu.querySelector("summary").getBoundingClientRect();
  const { width, height } = items.getBoundingClientRect();
  const isBelow = anchor.bottom + 4 + height < innerHeight;
  const left = menu.classList.contains("vp-menu-end") ? anchor.right - width : anchor.left;
  items.style.top = `${isBelow ? anchor.bottom + 4 : Math.max(4, anchor.top - 4 - height)}px`;
  items.style.left = `${Math.max(4, Math.min(innerWidth - width - 4, left))}px`;
}

document.addEventListener("scroll", (event) => {
  if (!(event.target instanceof Element) || !event.target.closest(".vp-menu-items")) closeMenus();
}, true);

const textOf = (element) => element.value ?? element.textContent;

async function copy(button) {
  const text = button.dataset.copies.startsWith("#") ? textOf(document.querySelector(button.dataset.copies)) : button.dataset.copies;
  await navigator.clipboard.writeText(text);
  button.classList.add("is-copied");
  setTimeout(() => button.classList.remove("is-copied"), 1500);
}

// The view filled the common dialog: show it, once what is in it listens.
document.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.target?.id !== "dialog-content") return;
  const dialog = document.getElementById("dialog");
  if (!dialog.open) dialog.showModal();
});
document.addEventListener("vp:close-dialog", () => document.getElementById("dialog")?.close());

// --- the connection ----------------------------------------------------------------------------------------------

let lostTimer = 0;
document.addEventListener("vp:connection", ({ detail }) => {
  root.dataset.live = detail.connected ? "on" : "off";
  clearTimeout(lostTimer);
  const banner = document.getElementById("connection-lost");
  if (!banner) return;
  if (detail.connected) banner.hidden = true;
  else lostTimer = setTimeout(() => { banner.hidden = false; }, 700);
});

// --- the keyboard ------------------------------------------------------------------------------------------------

const isTyping = (target) => target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], vp-console, .vp-no-keys");
let afterG = 0;

const keys = {
  "/": () => { const field = document.getElementById("search"); field?.focus(); field?.select(); },
  "?": () => document.getElementById("help")?.showModal(),
  "[": toggleSide,
  t: () => document.getElementById("tasks")?.toggle(),
  j: () => moveLine(1),
  ArrowDown: () => moveLine(1),
  k: () => moveLine(-1),
  ArrowUp: () => moveLine(-1),
  g: () => { afterG = Date.now(); },
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    closeMenus();
    if (root.classList.contains("vp-side-over")) toggleSide();
    if (event.target.id === "search") event.target.blur();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  // Beside a screen every letter may be meant for it.
  if (document.querySelector("vp-console")) return;
  if (Date.now() - afterG < 1000 && event.key === "v") {
    afterG = 0;
    document.querySelector('[data-nav="/vms/"]')?.click();
    return;
  }
  if (event.key.startsWith("Arrow") && event.target.closest?.("vp-tree, [role=tablist], .vp-main:not(:has([data-lines])), [role=separator], details")) return;
  const action = keys[event.key];
  if (!action) return;
  if (action() !== false) event.preventDefault();
});

// Lines are the rows of a [data-lines] table; each has one link or checkbox that takes the focus.
function moveLine(step) {
  const table = document.querySelector("[data-lines]");
  if (!table) return false;
  const lines = [...table.querySelectorAll("tbody > tr[data-href]")];
  const now = lines.findIndex((line) => line.contains(document.activeElement));
  const next = lines[now < 0 ? (step > 0 ? 0 : lines.length - 1) : Math.min(lines.length - 1, Math.max(0, now + step))];
  const link = next?.querySelector("a[href]");
  link?.focus();
  next?.scrollIntoView({ block: "nearest" });
  return Boolean(next);
}

markCurrent();
showTab();
showSearch();
