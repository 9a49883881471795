// <vp-trouble hidden>: what is wrong with the database, as the server's greeting and heartbeats tell it. Until that is
// mended nobody keeps true what is shown: states and values are greyed (states.css).

class VpTrouble extends HTMLElement {
  connectedCallback() {
    document.addEventListener("vp:trouble", this.tell);
    grey(!this.hidden);
  }

  disconnectedCallback() {
    document.removeEventListener("vp:trouble", this.tell);
  }

  tell = ({ detail: { text } }) => {
    this.hidden = !text;
    grey(Boolean(text));
    const words = this.querySelector(".vp-trouble-text");
    if (words.textContent !== text) words.textContent = text;
  };
}

function grey(isOld) {
  document.documentElement.classList.toggle("vp-all-is-old", isOld);
}

customElements.define("vp-trouble", VpTrouble);
