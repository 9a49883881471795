// <vp-theme-choice>: radio buttons named "theme" that set the colours, and follow the button in the top bar.

class VpThemeChoice extends HTMLElement {
  connectedCallback() {
    this.addEventListener("change", this);
    document.addEventListener("vp:theme", this);
    this.show();
  }

  disconnectedCallback() {
    document.removeEventListener("vp:theme", this);
  }

  handleEvent(event) {
    if (event.type === "vp:theme") {
      this.show();
      return;
    }
    try { localStorage.setItem("vmportal.theme", event.target.value); } catch { /* private mode: this page only */ }
    document.dispatchEvent(new CustomEvent("vp:theme"));
  }

  show() {
    const chosen = this.querySelector(`input[value="${document.documentElement.dataset.themeChoice}"]`);
    if (chosen) chosen.checked = true;
  }
}

customElements.define("vp-theme-choice", VpThemeChoice);
