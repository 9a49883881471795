// <vp-console data-domain data-grant data-rfb …>: a machine's screen, see templates/consoles/viewer.html.
// It stays with its machine: a migration, a reboot or a restarted console proxy is followed by a second, hidden connection
// that takes the first one's place when it stands.

import { KEYS, sendKeys } from "./console-keys.js";
import { Close, Refusal, Viewer, mayPass, pause, requestGrant } from "./console-viewer.js";
import { ViewerList } from "./console-viewers.js";
import "./vp-screen-keyboard.js";

const RETRY_FIRST_MS = 150;
const RETRY_MOST_MS = 2000;
const FOLLOW_MS = 30_000;
const CONNECT_MS = 20_000;
const VIEWERS_MS = 10_000;
const OFF_STATES = new Set(["shutoff", "nostate", "vanished"]);
const ALONE = new Set(["off", "kicked", "denied", "nodisplay"]);
const OVER = new Set(["off", "kicked", "denied", "lost", "unreachable", "nodisplay"]);
const AGAIN = new Set(["off", "lost", "unreachable", "nodisplay"]);

class VpConsole extends HTMLElement {
  #viewer = null;
  #attempt = null; // AbortController of the loop that tries to connect
  #hypervisor = "";
  #state = "";
  #modifiers = new Set();
  #focusWanted = false;
  #session = ""; // of the connection that is shown, or was last

  connectedCallback() {
    // Whoever opens a console wants to type there, unless a field of the page has been entered meanwhile.
    this.#focusWanted = true;
    this.bar = this.querySelector(".vp-console-bar");
    this.stage = this.querySelector(".vp-console-stage");
    this.status = this.querySelector(".vp-console-status");
    this.panel = this.querySelector(".vp-console-panel");
    this.#hypervisor = this.dataset.hypervisor;
    this.end = new AbortController();
    const { signal } = this.end;
    this.addEventListener("click", (event) => this.#clicked(event), { signal });
    this.addEventListener("keydown", (event) => this.#keyDown(event), { signal, capture: true });
    this.addEventListener("keyup", (event) => this.#keyUp(event), { signal, capture: true });
    this.addEventListener("focusin", () => this.#showFocus(), { signal });
    this.addEventListener("focusout", () => this.#showFocus(), { signal });
    document.addEventListener("vp:change", ({ detail }) => this.#changed(detail), { signal });
    document.addEventListener("vp:resync", () => { if (AGAIN.has(this.#state)) this.connect(); }, { signal });
    // One may do more or less than before: the connection that stands is of the former right.
    document.addEventListener("vp:rights", () => { if (["connected", "viewing", "denied"].includes(this.#state)) this.connect(); }, { signal });
    document.addEventListener("pointerdown", (event) => this.#closeKeys(event.target), { signal });
    document.addEventListener("fullscreenchange", () => this.#fullScreenChanged(), { signal });
    this.addEventListener("vp:key", ({ detail }) => { if (this.#viewer) sendKeys(this.#viewer.rfb, detail.strokes); }, { signal });
    const viewers = this.querySelector(".vp-console-viewers");
    this.viewers = new ViewerList(viewers, {
      csrfToken: () => this.#csrfToken(),
      session: () => this.#session,
      // Who is disconnected meanwhile learns of nobody; who could not connect learns who has the screen.
      isAsked: () => !ALONE.has(this.#state),
    });
    viewers.addEventListener("toggle", () => { if (viewers.open) this.viewers.look(); }, { signal });
    this.looking = setInterval(() => { if (this.#viewer && !document.hidden) this.viewers.look(); }, VIEWERS_MS);
    this.#showScale();
    this.#connectWhenSeen();
  }

  disconnectedCallback() {
    this.end.abort();
    clearInterval(this.looking);
    this.seen?.disconnect();
    this.#attempt?.abort();
    this.#drop(this.#viewer);
    this.#viewer = null;
  }

  // A console in a tab that is not shown connects when it is.
  #connectWhenSeen() {
    this.seen = new ResizeObserver(() => {
      if (!this.clientWidth) return;
      this.seen.disconnect();
      this.connect();
    });
    this.seen.observe(this);
  }

  // Connect anew; what is on the screen stays until the new connection stands.
  async connect() {
    this.#attempt?.abort();
    const attempt = (this.#attempt = new AbortController());
    const follows = Boolean(this.#viewer || this.#frozen);
    this.#show(follows ? "reconnecting" : "connecting");
    try {
      await this.#tryFor(FOLLOW_MS, { follows, signal: attempt.signal });
    } catch (error) {
      if (!attempt.signal.aborted) this.#gaveUp(error);
    } finally {
      if (this.#attempt === attempt) this.#attempt = null;
    }
  }

  async #tryFor(patienceMs, { follows, signal }) {
    const until = performance.now() + patienceMs;
    for (let wait = RETRY_FIRST_MS; ; wait = Math.min(wait * 1.5, RETRY_MOST_MS)) {
      try {
        return await this.#tryOnce(signal);
      } catch (error) {
        if (signal.aborted || !mayPass(error, follows) || performance.now() + wait > until) throw error;
      }
      await pause(wait, signal);
    }
  }

  async #tryOnce(signal) {
    const [{ default: RFB }, grant] = await Promise.all([
      import(this.dataset.rfb),
      requestGrant(this.dataset.grant, this.#csrfToken(), { signal, replaces: this.#session }),
    ]);
    signal.throwIfAborted();
    const target = document.createElement("div");
    target.className = "vp-console-screen is-waiting";
    this.stage.append(target);
    const viewer = new Viewer(RFB, target, grant);
    signal.addEventListener("abort", () => { if (this.#viewer !== viewer) this.#drop(viewer); }, { once: true });
    try {
      await viewer.ready(CONNECT_MS);
      signal.throwIfAborted();
    } catch (error) {
      this.#drop(viewer);
      throw error;
    }
    this.#swapIn(viewer, grant);
  }

  #swapIn(viewer, grant) {
    const old = this.#viewer;
    const hadFocus = this.stage.contains(document.activeElement) || (this.#focusWanted && !isElsewhere(this));
    this.#viewer = viewer;
    this.#session = viewer.session;
    viewer.target.classList.remove("is-waiting");
    viewer.addEventListener("close", ({ detail }) => this.#closed(viewer, detail));
    viewer.rfb.scaleViewport = this.#scales;
    viewer.canvas?.setAttribute("aria-label", this.dataset.screenName);
    this.#followSize(viewer);
    this.#frozen?.remove();
    this.#drop(old);
    this.viewers.show(grant.viewers ?? []);
    this.#show(grant.mode === "view" ? "viewing" : "connected");
    if (hadFocus) viewer.rfb.focus();
    this.#focusWanted = false;
  }

  // The screen went away under us.
  #closed(viewer, { code, reason }) {
    if (viewer !== this.#viewer) return;
    this.#focusWanted = this.stage.contains(document.activeElement);
    this.#freeze(viewer);
    this.#drop(viewer);
    this.#viewer = null;
    if (code === Close.REPLACED && this.#attempt) return; // by the one that is about to take its place
    if ([Close.KICKED, Close.REPLACED].includes(code)) this.#gaveUp({ code, reason });
    else if (!this.#attempt) this.connect();
  }

  // The stage has the screen's proportions where that leaves no bands around it, see console.css.
  #followSize(viewer) {
    const show = () => {
      const { width, height } = viewer.canvas ?? {};
      if (width && height) this.stage.style.setProperty("--vp-screen-ratio", `${width} / ${height}`);
    };
    viewer.sizes = new MutationObserver(show);
    if (viewer.canvas) viewer.sizes.observe(viewer.canvas, { attributeFilter: ["width", "height"] });
    show();
  }

  #drop(viewer) {
    if (!viewer) return;
    viewer.sizes?.disconnect();
    viewer.close();
    viewer.target.remove();
  }

  get #frozen() {
    return this.stage.querySelector(".vp-console-frozen");
  }

  // The last picture, dimmed, so that a short gap does not flash.
  #freeze(viewer) {
    this.#frozen?.remove();
    const canvas = viewer.canvas;
    if (!canvas?.width) return;
    const picture = document.createElement("canvas");
    picture.width = canvas.width;
    picture.height = canvas.height;
    picture.className = "vp-console-frozen";
    picture.getContext("2d").drawImage(canvas, 0, 0);
    this.stage.prepend(picture);
  }

  #gaveUp(error) {
    this.viewers.show([]);
    if (error instanceof Refusal && error.status === 409 && OFF_STATES.has(error.answer.state)) {
      this.#frozen?.remove();
      this.#show("off", error.answer.state === "vanished" ? error.message : "", { canStart: error.answer.can_start });
    } else if (error instanceof Refusal && error.status === 401) {
      location.reload();
    } else if ([Close.KICKED, Close.REPLACED].includes(error.code)) {
      this.#show("kicked", error.reason);
    } else if (error.code === Close.NOT_ALLOWED || [403, 404].includes(error.status)) {
      this.#show("denied", error.reason || error.message);
    } else if (error instanceof Refusal && error.answer.why === "no_display") {
      this.#frozen?.remove();
      this.#show("nodisplay", error.message);
    } else {
      this.viewers.look();
      const reason = error.reason || (error instanceof Refusal ? error.message : "");
      this.#show(this.#frozen && !reason ? "lost" : "unreachable", reason);
    }
  }

  #changed(change) {
    if (change.what !== "domain" || change.id !== this.dataset.domain) return;
    const { state, hypervisor } = change.fields;
    const moved = hypervisor !== undefined && hypervisor !== null && String(hypervisor) !== this.#hypervisor;
    if (moved) this.#hypervisor = String(hypervisor);
    const cameBack = state !== undefined && !OFF_STATES.has(state) && AGAIN.has(this.#state);
    if (cameBack || (moved && this.#state !== "kicked" && this.#state !== "denied" && this.#state !== "")) this.connect();
    else if (OFF_STATES.has(state) && ["lost", "unreachable", "nodisplay", "reconnecting"].includes(this.#state) && !this.#viewer) this.connect();
    else if (OFF_STATES.has(state) && this.#state === "off") this.#enable(".vp-console-start", true);
  }

  #show(state, detail = "", { canStart = false } = {}) {
    this.#state = state;
    this.dataset.state = state;
    this.status.textContent = this.dataset[`text${state[0].toUpperCase()}${state.slice(1)}`] ?? state;
    const isShown = !["connected", "viewing"].includes(state) && !(state === "reconnecting" && this.#viewer);
    this.panel.hidden = !isShown;
    this.panel.querySelector(".vp-console-title").textContent = this.status.textContent;
    const text = this.panel.querySelector(".vp-console-detail");
    text.textContent = detail;
    text.hidden = !detail;
    this.#reveal(".vp-console-again", OVER.has(state) && state !== "off");
    this.#reveal(".vp-console-start", state === "off" && canStart && Boolean(this.dataset.start));
    this.#enable(".vp-console-start", true);
    for (const button of this.bar.querySelectorAll("[data-needs=control]")) button.disabled = state !== "connected";
    this.#showFocus();
  }

  #reveal(selector, isShown) {
    for (const element of this.querySelectorAll(selector)) element.hidden = !isShown;
  }

  #enable(selector, isEnabled) {
    for (const element of this.querySelectorAll(selector)) element.disabled = !isEnabled;
  }

  #showFocus() {
    const types = this.#state === "connected";
    const inside = this.stage.contains(document.activeElement);
    const hint = this.querySelector(".vp-console-hint");
    hint.hidden = !types;
    hint.textContent = inside ? this.dataset.hintInside : this.dataset.hintOutside;
    this.toggleAttribute("data-typing", types && inside);
  }

  // --- the bar ---------------------------------------------------------------------------------------------------

  #clicked(event) {
    const button = event.target.closest("button[data-do]");
    if (!button || button.disabled) return;
    const actions = {
      "ctrl-alt-del": () => this.#typed(() => this.#viewer.rfb.sendCtrlAltDel()),
      keys: () => this.#typed(() => sendKeys(this.#viewer.rfb, KEYS[button.dataset.keys])),
      scale: () => this.#toggleScale(),
      "full-screen": () => this.#toggleFullScreen(),
      keyboard: () => this.#toggleKeyboard(button),
      menu: () => this.#toggleMenu(),
      window: () => this.#openWindow(),
      reconnect: () => this.connect(),
      start: () => this.#start(button),
      disconnect: () => this.viewers.disconnect(button),
    };
    actions[button.dataset.do]();
  }

  #typed(send) {
    if (!this.#viewer) return;
    send();
    this.#closeKeys(null);
    this.#viewer.rfb.focus();
  }

  #closeKeys(target) {
    for (const menu of this.querySelectorAll(".vp-console-keys, .vp-console-viewers")) {
      if (menu.open && !menu.contains(target)) menu.open = false;
    }
    if (!this.querySelector(".vp-console-buttons").contains(target) && !target?.closest?.("[data-do=menu]")) this.#toggleMenu(false);
  }

  // Where there is little room the buttons are a menu under one of them.
  #toggleMenu(isOpen = !this.hasAttribute("data-menu")) {
    this.toggleAttribute("data-menu", isOpen);
    this.querySelector("[data-do=menu]").setAttribute("aria-expanded", String(isOpen));
  }

  #toggleKeyboard(button) {
    const keyboard = this.querySelector("vp-screen-keyboard");
    keyboard.hidden = !keyboard.hidden;
    button.setAttribute("aria-pressed", String(!keyboard.hidden));
  }

  get #scales() {
    try { return localStorage.getItem("vmportal.console.scale") !== "off"; } catch { return true; }
  }

  #toggleScale() {
    try { localStorage.setItem("vmportal.console.scale", this.#scales ? "off" : "on"); } catch { /* private mode */ }
    this.#showScale();
    this.#viewer?.rfb.focus();
  }

  #showScale() {
    this.querySelector("[data-do=scale]").setAttribute("aria-pressed", String(this.#scales));
    this.toggleAttribute("data-scaled", this.#scales);
    if (this.#viewer) this.#viewer.rfb.scaleViewport = this.#scales;
  }

  async #toggleFullScreen() {
    if (document.fullscreenElement) {
      await document.exitFullscreen();
      return;
    }
    await this.requestFullscreen();
    // Where the browser can (Chromium, over TLS): Esc, Alt-Tab and Ctrl-W go to the machine too.
    await navigator.keyboard?.lock?.().catch(() => {});
    // A phone turns: screens are wide.
    await screen.orientation?.lock?.("landscape").catch(() => {});
    this.#viewer?.rfb.focus();
  }

  #fullScreenChanged() {
    const isFull = document.fullscreenElement === this;
    this.querySelector("[data-do=full-screen]").setAttribute("aria-pressed", String(isFull));
    if (isFull) return;
    navigator.keyboard?.unlock?.();
    screen.orientation?.unlock?.();
  }

  #openWindow() {
    const opened = window.open(this.dataset.window, `console-${this.dataset.domain}`, "popup,width=1060,height=840");
    opened?.focus();
  }

  async #start(button) {
    button.disabled = true;
    const response = await fetch(this.dataset.start, {
      method: "POST",
      headers: { "X-CSRFToken": this.#csrfToken(), Accept: "application/json", "HX-Request": "true" },
    }).catch(() => null);
    if (response?.ok) {
      this.#focusWanted = true;
      this.status.textContent = this.dataset.textStarting;
      return;
    }
    button.disabled = false;
    const detail = this.panel.querySelector(".vp-console-detail");
    const isText = response?.headers.get("Content-Type")?.startsWith("text/plain");
    detail.textContent = isText ? await response.text() : this.dataset.textNotStarted;
    detail.hidden = false;
  }

  // Ctrl and Alt pressed and let go with nothing between gives the keyboard back, as in virt-manager.
  #keyDown(event) {
    if (!this.stage.contains(event.target)) {
      if (event.key === "Escape") this.#closeKeys(null);
      return;
    }
    if (event.repeat) return;
    if (["Control", "Alt"].includes(event.key)) this.#modifiers.add(event.key);
    else this.#modifiers.add("other");
  }

  #keyUp(event) {
    if (event.ctrlKey || event.altKey) return;
    const releases = this.#modifiers.size === 2 && !this.#modifiers.has("other");
    this.#modifiers.clear();
    if (releases && this.stage.contains(event.target)) {
      // After noVNC has let the machine know that the keys are up.
      setTimeout(() => [...this.bar.querySelectorAll("button")].find((button) => !button.disabled && button.offsetParent)?.focus(), 0);
    }
  }

  #csrfToken() {
    return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? this.dataset.csrf;
  }
}

// Whether somebody is about to type into another part of the page.
function isElsewhere(element) {
  const focused = document.activeElement;
  return Boolean(focused?.closest("input, textarea, select, [contenteditable], dialog")) && !element.contains(focused);
}

customElements.define("vp-console", VpConsole);
