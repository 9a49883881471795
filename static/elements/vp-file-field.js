// <vp-file-field for="id_of_textarea">: a button that reads a text file into the textarea, in the browser.

const LARGEST_BYTES = 200_000;

class VpFileField extends HTMLElement {
  connectedCallback() {
    this.input = this.querySelector("input[type=file]");
    this.input.addEventListener("change", () => this.read());
    this.querySelector("button").addEventListener("click", () => this.input.click());
  }

  async read() {
    const [file] = this.input.files;
    const area = document.getElementById(this.getAttribute("for"));
    if (!file || !area) return;
    area.value = file.size > LARGEST_BYTES ? "" : await file.text();
    area.dispatchEvent(new Event("input", { bubbles: true }));
    this.querySelector(".vp-file-name").textContent = file.name;
    this.input.value = "";
  }
}

customElements.define("vp-file-field", VpFileField);
