// <vp-trouble hidden>: what is wrong with the database, as the server's greeting and heartbeats tell it.

class VpTrouble extends HTMLElement {
  connectedCallback() {
    document.addEventListener("vp:trouble", this.tell);
  }

  disconnectedCallback() {
    document.removeEventListener("vp:trouble", this.tell);
  }

  tell = ({ detail: { text } }) => {
    this.hidden = !text;
    const words = this.querySelector(".vp-trouble-text");
    if (words.textContent !== text) words.textContent = text;
  };
}

customElements.define("vp-trouble", VpTrouble);
