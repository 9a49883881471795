// <vp-boot-order>: devices in the order in which they are booted from, moved by dragging, by buttons or by Alt and arrows.
// What stands in the list goes into the text area of the form, a device a line; without this element one types there.

class VpBootOrder extends HTMLElement {
  connectedCallback() {
    this.list = this.querySelector("ol");
    this.area = this.querySelector("textarea");
    this.list.hidden = false;
    this.querySelector(".vp-boot-typed").hidden = true;
    this.addEventListener("click", this.pressed);
    this.addEventListener("change", this.changed);
    this.addEventListener("input", this.given);
    this.addEventListener("keydown", this.typed);
    this.addEventListener("dragstart", this.taken);
    this.addEventListener("dragover", this.over);
    this.addEventListener("dragend", this.let);
    this.number();
  }

  get lines() {
    return [...this.list.children];
  }

  pressed = ({ target }) => {
    const button = target.closest("button[data-moves]");
    if (button) this.move(button.closest("li"), Number(button.dataset.moves), button);
  };

  changed = (event) => {
    if (event.target.matches("input[type=checkbox]")) this.write();
  };

  // What others put into the text area is how it is.
  given = (event) => {
    if (event.target !== this.area) return;
    const used = this.area.value.split("\n").filter(Boolean);
    const lines = this.lines.filter((line) => line.dataset.device);
    for (const line of lines) line.querySelector("input").checked = used.includes(line.dataset.device);
    const first = used.map((name) => lines.find((line) => line.dataset.device === name)).filter(Boolean);
    this.list.append(...first, ...lines.filter((line) => !first.includes(line)));
    this.number();
  };

  typed = (event) => {
    const line = event.target.closest("li");
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!line || !by || !event.altKey) return;
    event.preventDefault();
    this.move(line, by, event.target);
  };

  move(line, by, focused) {
    const other = by < 0 ? line.previousElementSibling : line.nextElementSibling;
    if (!other) return;
    if (by < 0) other.before(line);
    else other.after(line);
    focused.focus();
    this.write();
    this.querySelector("[aria-live]").textContent = `${line.dataset.name}: ${this.lines.indexOf(line) + 1} / ${this.lines.length}`;
  }

  taken = (event) => {
    this.dragged = event.target.closest("li");
    if (!this.dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", this.dragged.dataset.device);
    this.dragged.classList.add("is-dragged");
  };

  over = (event) => {
    const line = event.target.closest("li");
    if (!this.dragged || !line) return;
    event.preventDefault();
    if (line === this.dragged) return;
    const { top, height } = line.getBoundingClientRect();
    if (event.clientY < top + height / 2) line.before(this.dragged);
    else line.after(this.dragged);
  };

  let = () => {
    this.dragged?.classList.remove("is-dragged");
    if (this.dragged) this.write();
    this.dragged = null;
  };

  number() {
    let count = 0;
    for (const line of this.lines) {
      const isUsed = line.querySelector("input").checked;
      line.querySelector(".vp-boot-number").textContent = isUsed ? String((count += 1)) : "–";
    }
  }

  write() {
    this.number();
    const used = this.lines.filter((line) => line.querySelector("input").checked);
    this.area.value = used.map((line) => line.dataset.device).join("\n");
    this.area.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

customElements.define("vp-boot-order", VpBootOrder);
