// <vp-screen-keyboard>: a US keyboard to touch, for a console where there is no other. It sends nothing itself: each key
// is a `vp:key` event with {keysym, code}. Shift, Ctrl, Alt and Super stay down until a key follows, then come up.

const NAMED = {
  Esc: [0xff1b, "Escape"], Tab: [0xff09, "Tab"], "⌫": [0xff08, "Backspace"], "⏎": [0xff0d, "Enter"], Del: [0xffff, "Delete"],
  "←": [0xff51, "ArrowLeft"], "↑": [0xff52, "ArrowUp"], "→": [0xff53, "ArrowRight"], "↓": [0xff54, "ArrowDown"],
  Home: [0xff50, "Home"], End: [0xff57, "End"], PgUp: [0xff55, "PageUp"], PgDn: [0xff56, "PageDown"], "␣": [0x20, "Space"],
  ...Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`F${n + 1}`, [0xffbe + n, `F${n + 1}`]])),
};
const WORDS = {
  "⌫": "Backspace", "⏎": "Enter", "␣": "Space", "←": "Left", "↑": "Up", "→": "Right", "↓": "Down", PgUp: "Page up", PgDn: "Page down",
  Del: "Delete", Esc: "Escape",
};
const MODIFIERS = { Shift: [0xffe1, "ShiftLeft"], Ctrl: [0xffe3, "ControlLeft"], Alt: [0xffe9, "AltLeft"], Super: [0xffeb, "MetaLeft"] };
const SHIFTED = Object.fromEntries([..."`~1!2@3#4$5%6^7&8*9(0)-_=+[{]}\\|;:'\",<.>/?"].reduce((pairs, sign, at, all) => {
  if (at % 2 === 0) pairs.push([sign, all[at + 1]]);
  return pairs;
}, []));
const CODES = {
  "`": "Backquote", "-": "Minus", "=": "Equal", "[": "BracketLeft", "]": "BracketRight", "\\": "Backslash", ";": "Semicolon",
  "'": "Quote", ",": "Comma", ".": "Period", "/": "Slash",
};
const LETTERS = [[..."1234567890"], [..."qwertyuiop"], [..."asdfghjkl"], ["Shift", ..."zxcvbnm", "⌫"]];
const SIGNS = [[..."`-=[]\\;'"], ["F1", "F2", "F3", "F4", "F5", "F6"], ["F7", "F8", "F9", "F10", "F11", "F12"], ["Shift", "Home", "End", "PgUp", "PgDn", "Del", "⌫"]];
const TOP = ["Esc", "Tab", "Ctrl", "Alt", "Super", "←", "↑", "↓", "→"];

class VpScreenKeyboard extends HTMLElement {
  #down = new Set();
  #rows = LETTERS;

  connectedCallback() {
    this.setAttribute("role", "group");
    this.addEventListener("click", this.#clicked);
    // The screen keeps the focus, and the phone's own keyboard stays away.
    this.addEventListener("pointerdown", prevent);
    this.#draw();
  }

  disconnectedCallback() {
    this.removeEventListener("click", this.#clicked);
    this.removeEventListener("pointerdown", prevent);
  }

  #draw() {
    const last = [this.#rows === LETTERS ? "#+=" : "abc", ",", "␣", ".", "/", "⏎"];
    this.replaceChildren(...[TOP, ...this.#rows, last].map((keys) => {
      const row = document.createElement("div");
      row.append(...keys.map((key) => this.#button(key)));
      return row;
    }));
  }

  #button(key) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.key = key;
    button.textContent = this.#down.has("Shift") ? (SHIFTED[key] ?? (key.length === 1 && key >= "a" && key <= "z" ? key.toUpperCase() : key)) : key;
    if (WORDS[key]) button.setAttribute("aria-label", WORDS[key]);
    if (key in MODIFIERS) button.setAttribute("aria-pressed", String(this.#down.has(key)));
    return button;
  }

  #clicked = (event) => {
    const key = event.target.closest("button")?.dataset.key;
    if (!key) return;
    if (key in MODIFIERS) {
      if (!this.#down.delete(key)) this.#down.add(key);
    } else if (["#+=", "abc"].includes(key)) {
      this.#rows = this.#rows === LETTERS ? SIGNS : LETTERS;
    } else {
      this.#type(key);
      this.#down.clear();
    }
    this.#draw();
    this.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  };

  #type(key) {
    const held = [...this.#down].map((name) => MODIFIERS[name]);
    const stroke = NAMED[key] ?? [signOf(key, this.#down.has("Shift")).codePointAt(0), codeOf(key)];
    this.dispatchEvent(new CustomEvent("vp:key", { bubbles: true, detail: { strokes: [...held, stroke] } }));
  }
}

function prevent(event) {
  event.preventDefault();
}

function signOf(key, isShifted) {
  return isShifted ? (SHIFTED[key] ?? key.toUpperCase()) : key;
}

function codeOf(key) {
  if (key >= "a" && key <= "z") return `Key${key.toUpperCase()}`;
  return key >= "0" && key <= "9" ? `Digit${key}` : CODES[key];
}

customElements.define("vp-screen-keyboard", VpScreenKeyboard);
