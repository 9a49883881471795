// <vp-enabled-by field="format" value="raw">: the inputs inside can be used only while that field of the form has that value.

class VpEnabledBy extends HTMLElement {
  connectedCallback() {
    this.form = this.closest("form");
    this.update = () => this.show();
    this.form?.addEventListener("change", this.update);
    this.show();
  }

  disconnectedCallback() {
    this.form?.removeEventListener("change", this.update);
  }

  show() {
    const field = this.form?.elements[this.getAttribute("field")];
    const isEnabled = !field || field.value === this.getAttribute("value");
    for (const input of this.querySelectorAll("input")) {
      input.disabled = !isEnabled;
      if (!isEnabled) input.checked = false;
    }
  }
}

customElements.define("vp-enabled-by", VpEnabledBy);
