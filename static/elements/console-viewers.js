// Who else has the screen: the list in the console's bar, <details class="vp-console-viewers">.

export class ViewerList {
  #place;
  #csrfToken;
  #session; // of the connection that is shown: oneself is not told of
  #isAsked;

  // `isAsked` says whether what the server tells is wanted still.
  constructor(place, { csrfToken, session, isAsked }) {
    this.#place = place;
    this.#csrfToken = csrfToken;
    this.#session = session;
    this.#isAsked = isAsked;
  }

  show(viewers) {
    const others = viewers.filter((viewer) => viewer.session !== this.#session());
    this.#place.hidden = !others.length;
    this.#place.querySelector(".vp-console-names").textContent = [...new Set(others.map((viewer) => viewer.username))].join(", ");
    this.#place.querySelector("ul").replaceChildren(...others.map((viewer) => this.#line(viewer)));
  }

  #line(viewer) {
    const line = this.#place.querySelector("template").content.cloneNode(true);
    const mode = line.querySelector(".vp-console-viewer-mode");
    line.querySelector(".vp-console-viewer-name").textContent = viewer.username;
    mode.textContent = viewer.mode === "view" ? mode.dataset.textView : mode.dataset.textControl;
    const button = line.querySelector("button");
    button.hidden = !viewer.can_disconnect;
    button.dataset.session = viewer.session;
    line.querySelector(".vp-console-viewer-whom").textContent = viewer.username;
    return line;
  }

  async look() {
    const response = await fetch(this.#place.dataset.viewers, { headers: { Accept: "application/json" } }).catch(() => null);
    if (response?.ok && !response.redirected && this.#isAsked()) this.show((await response.json()).viewers);
  }

  async disconnect(button) {
    button.disabled = true;
    const response = await fetch(this.#place.dataset.disconnect, {
      method: "POST",
      headers: { "X-CSRFToken": this.#csrfToken(), Accept: "application/json" },
      body: new URLSearchParams({ session: button.dataset.session }),
    }).catch(() => null);
    if (response?.ok) this.show((await response.json()).viewers);
    else this.look();
  }
}
