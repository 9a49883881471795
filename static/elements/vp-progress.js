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
  }

  attributeChangedCallback() {
    if (this.isConnected) this.watch();
  }

  watch() {
    this.end?.();
    this.end = follow(`operation:${this.getAttribute("operation")}`, this);
  }

  applyChange({ progress }) {
    if (!progress) return;
    const bar = this.querySelector("progress");
    if (progress.percent !== undefined && progress.percent !== null) bar.value = progress.percent;
    this.querySelector(".vp-running-words").textContent = progressWords(progress);
  }
}

customElements.define("vp-progress", VpProgress);
