// <vp-sent-clears><form hx-post=…>…</form></vp-sent-clears>: the form is empty again once what it says was taken, and its
// first field has the focus: the next entry can be typed at once.

class VpSentClears extends HTMLElement {
  connectedCallback() {
    this.addEventListener("htmx:afterRequest", this);
  }

  disconnectedCallback() {
    this.removeEventListener("htmx:afterRequest", this);
  }

  handleEvent({ target, detail }) {
    if (!(target instanceof HTMLFormElement) || !detail.successful) return;
    target.reset();
    target.querySelector("input:not([type=hidden])")?.focus();
  }
}

customElements.define("vp-sent-clears", VpSentClears);
