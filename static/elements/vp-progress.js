// <vp-progress operation="id" data-queue="…">: the bar and words of one running operation, and that nobody works on it.

import { follow } from "./live.js";
import { progressWords } from "./progress-words.js";
import { whyWaiting } from "./vp-freshness.js";

class VpProgress extends HTMLElement {
  static observedAttributes = ["operation"];

  connectedCallback() {
    document.addEventListener("vp:freshness", this.sayWhyItWaits);
    this.watch();
    this.sayWhyItWaits();
  }

  disconnectedCallback() {
    document.removeEventListener("vp:freshness", this.sayWhyItWaits);
    this.end?.();
    clearTimeout(this.late);
  }

  attributeChangedCallback() {
    if (this.isConnected) this.watch();
  }

  watch() {
    this.end?.();
    this.end = follow(`operation:${this.getAttribute("operation")}`, this);
    const late = this.querySelector(".vp-running-late");
    clearTimeout(this.late);
    if (late) this.late = setTimeout(() => { late.hidden = false; }, Number(late.dataset.lateSeconds) * 1000);
  }

  applyChange({ progress }) {
    if (!progress) return;
    const bar = this.querySelector("progress");
    if (progress.percent !== undefined && progress.percent !== null) bar.value = progress.percent;
    const percent = progress.percent > 0 ? `${Math.floor(progress.percent)} %` : "";
    this.querySelector(".vp-running-words").textContent = [percent, progressWords(progress)].filter(Boolean).join(" · ");
    this.sayWhyItWaits();
  }

  // Beside the words, which are those of the last who worked on it.
  sayWhyItWaits = () => {
    const why = whyWaiting(this.dataset.queue);
    let said = this.querySelector(".vp-running-waits");
    if (!said && !why) return;
    if (!said) {
      said = document.createElement("span");
      said.className = "vp-running-waits";
      this.querySelector(".vp-running-words").after(said);
    }
    if (said.textContent !== why) said.textContent = why;
  };
}

customElements.define("vp-progress", VpProgress);
