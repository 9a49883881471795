// <vp-progress operation="id">: the bar and words of one running operation.

import { follow } from "./live.js";
import { progressWords } from "./progress-words.js";

class VpProgress extends HTMLElement {
  static observedAttributes = ["operation"];

  connectedCallback() {
    this.watch();
  }

  disconnectedCallback() {
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
  }
}

customElements.define("vp-progress", VpProgress);
