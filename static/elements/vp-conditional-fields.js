// <vp-conditional-fields>: a field inside with data-only-if='[["type", ["network", "bridge"]]]' shows, and is sent, only while
// the named fields have one of those values. A field that does not show has no value.

const PASSES = 6;

class VpConditionalFields extends HTMLElement {
  connectedCallback() {
    this.addEventListener("change", this.show);
    this.show();
  }

  // A field may depend on one that depends on another.
  show = () => {
    for (let pass = 0; pass < PASSES; pass += 1) {
      let isStable = true;
      for (const field of this.querySelectorAll("[data-only-if]")) isStable = this.showOne(field) && isStable;
      if (isStable) break;
    }
    // A group without fields is no group.
    for (const group of this.querySelectorAll("[data-field-group]")) {
      group.hidden = ![...group.querySelectorAll(".vp-field")].some((field) => !field.hidden);
    }
  };

  showOne(field) {
    const isMeant = JSON.parse(field.dataset.onlyIf).every(([name, wanted]) => wanted.includes(this.valueOf(name)));
    if (field.hidden !== isMeant) return true;
    field.hidden = !isMeant;
    for (const input of field.querySelectorAll("input, select, textarea")) input.disabled = !isMeant;
    return false;
  }

  valueOf(name) {
    const input = this.closest("form").elements[`v-${name}`];
    if (!input || input.closest("[data-only-if]")?.hidden) return undefined;
    if (input.type === "checkbox") return input.checked ? "on" : "";
    return input.value;
  }
}

customElements.define("vp-conditional-fields", VpConditionalFields);
