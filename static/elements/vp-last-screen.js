// <vp-last-screen domain src taken-at off problem>: what the machine last showed, and when that was.
// A newer picture is asked for every few seconds, while the page is visible and the machine runs.

import { follow } from "./live.js";
import { clockTime } from "./local-times.js";
import { followOff } from "./usage.js";

const ASK_MS = 6000;
const LOOK_MS = 400;
// What was asked for is looked for so often; then it is asked for anew.
const MOST_LOOKS = 12;
// Older than this it is not what the machine shows now.
const RECENT_SECONDS = 30;

class VpLastScreen extends HTMLElement {
  static observedAttributes = ["off"];

  looks = 0;

  connectedCallback() {
    this.end = follow(`domain:${this.getAttribute("domain")}`, this);
    document.addEventListener("visibilitychange", this.seen);
    document.addEventListener("vp:resync", this.soon);
    this.aging = setInterval(this.say, 5000);
    this.say();
    this.soon();
  }

  disconnectedCallback() {
    this.end?.();
    document.removeEventListener("visibilitychange", this.seen);
    document.removeEventListener("vp:resync", this.soon);
    clearInterval(this.aging);
    clearTimeout(this.timer);
    this.asking?.abort();
  }

  applyChange(fields) {
    followOff(this, fields);
  }

  attributeChangedCallback() {
    if (!this.isConnected) return;
    this.say();
    this.soon();
  }

  seen = () => {
    if (document.hidden) clearTimeout(this.timer);
    else this.soon();
  };

  soon = () => {
    clearTimeout(this.timer);
    if (!document.hidden && !this.hasAttribute("off")) this.timer = setTimeout(this.ask, 0);
  };

  ask = async () => {
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    let isComing = false;
    try {
      const answer = await fetch(this.getAttribute("src"), { method: "POST", headers: { "X-CSRFToken": csrfToken(), Accept: "application/json" }, signal });
      if (answer.ok) {
        const said = await answer.json();
        isComing = said.is_coming;
        await this.take(said);
      }
    } catch {
      // The page itself says when the server is away.
    }
    if (signal.aborted || !this.isConnected || document.hidden || this.hasAttribute("off")) return;
    this.looks = isComing ? this.looks + 1 : 0;
    const isSoon = isComing && this.looks <= MOST_LOOKS;
    if (!isSoon) this.looks = 0;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.ask, isSoon ? LOOK_MS : ASK_MS);
  };

  async take({ taken_at: takenAt, problem, width, height }) {
    this.setAttribute("problem", problem);
    if (takenAt > Number(this.getAttribute("taken-at"))) {
      const next = new Image(width, height);
      next.src = `${this.getAttribute("src")}?at=${takenAt}`;
      await next.decode();
      this.querySelector("img")?.remove();
      this.querySelector("a").prepend(next);
      this.setAttribute("taken-at", takenAt);
    }
    this.say();
  }

  // The time stands there once the picture is no longer what it shows now.
  say = () => {
    const takenAt = Number(this.getAttribute("taken-at"));
    const picture = this.querySelector("img");
    const isOff = this.hasAttribute("off");
    const isOld = takenAt > 0 && (isOff || Date.now() / 1000 - takenAt > RECENT_SECONDS);
    this.hidden = !takenAt && isOff;
    this.toggleAttribute("old", isOld);
    const clock = takenAt ? clockTime(takenAt) : "";
    if (picture) picture.alt = this.dataset.alt.replace("%name", this.dataset.name).replace("%time", clock);
    const time = this.querySelector(".vp-last-screen-time");
    time.textContent = isOld ? this.dataset.asOf.replace("%s", clock) : "";
    if (takenAt) time.dateTime = new Date(takenAt * 1000).toISOString();
    const none = this.querySelector(".vp-last-screen-none");
    const words = { no_screen: none.dataset.noScreen, no_answer: none.dataset.noAnswer };
    none.textContent = picture ? "" : words[this.getAttribute("problem")] ?? none.dataset.none;
  };
}

function csrfToken() {
  return JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRFToken"] ?? "";
}

customElements.define("vp-last-screen", VpLastScreen);
