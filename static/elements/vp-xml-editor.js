// <vp-xml-editor error-line="3" error="why"><textarea name="xml"></textarea></vp-xml-editor>: the textarea as an editor
// of XML, in colours, with line numbers, search (Ctrl+F), folds and end tags that write themselves. `readonly` shows only.
//
// The textarea stays what the form sends: what is typed is written into it, with an `input` event, and what others put
// into it (dispatch `input`, or swap it by htmx) is shown. Without this script it is a textarea.
//
// It draws itself in a shadow root: there CodeMirror's styles are constructed sheets, which the content security policy
// lets pass; into a page it would write <style>.

import {
  Compartment,
  EditorState,
  EditorView,
  HighlightStyle,
  bracketMatching,
  codeFolding,
  defaultKeymap,
  drawSelection,
  ensureSyntaxTree,
  foldGutter,
  foldKeymap,
  forceLinting,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSelectionMatches,
  history,
  historyKeymap,
  indentOnInput,
  keymap,
  lineNumbers,
  lintGutter,
  lintKeymap,
  linter,
  search,
  searchKeymap,
  syntaxHighlighting,
  tags,
  xml,
} from "../bundles/codemirror.js";
import { word } from "./words.js";
import { overtypesEndTag } from "./xml-end-tags.js";

const LINT_AFTER_MS = 400;
const PARSE_MS = 200;
const FAULTS = { MissingCloseTag: "xml_unclosed", MismatchedCloseTag: "xml_mismatched" };

const COLOURS = HighlightStyle.define([
  { tag: [tags.tagName, tags.angleBracket], color: "var(--vp-accent)" },
  { tag: tags.attributeName, color: "var(--vp-amber)" },
  { tag: [tags.attributeValue, tags.string], color: "var(--vp-green)" },
  { tag: [tags.comment, tags.processingInstruction, tags.documentMeta], color: "var(--vp-muted)", fontStyle: "italic" },
  { tag: tags.invalid, color: "var(--vp-red)" },
]);

const LOOK = EditorView.theme({
  "&": {
    minHeight: "8rem",
    maxHeight: "var(--vp-editor-height, 65dvh)",
    backgroundColor: "var(--vp-surface)",
    color: "var(--vp-text)",
    border: "1px solid var(--vp-line-strong)",
    borderRadius: "var(--vp-radius)",
    fontSize: "0.78125rem",
    overflow: "hidden",
  },
  // The element itself has one, without a moment's wait.
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace", lineHeight: "1.5", overflow: "auto" },
  ".cm-content": { caretColor: "var(--vp-text)" },
  ".cm-cursor": { borderLeftColor: "var(--vp-text)" },
  ".cm-gutters": { backgroundColor: "var(--vp-sunken)", color: "var(--vp-muted)", borderRight: "1px solid var(--vp-line)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--vp-selected) 45%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "var(--vp-selected)", color: "var(--vp-text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--vp-accent) 28%, transparent)",
  },
  ".cm-selectionMatch": { backgroundColor: "var(--vp-amber-wash)" },
  ".cm-searchMatch": { backgroundColor: "var(--vp-amber-wash)", outline: "1px solid var(--vp-amber)" },
  ".cm-searchMatch-selected": { backgroundColor: "var(--vp-selected)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--vp-selected)", outline: "1px solid var(--vp-line-strong)" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--vp-sunken)", borderColor: "var(--vp-line-strong)", color: "var(--vp-text-soft)" },
  ".cm-panels": { backgroundColor: "var(--vp-sunken)", color: "var(--vp-text)", borderColor: "var(--vp-line)" },
  ".cm-panel.cm-search input, .cm-panel.cm-search button": {
    minHeight: "24px",
    border: "1px solid var(--vp-line-strong)",
    borderRadius: "4px",
    background: "var(--vp-surface)",
    color: "var(--vp-text)",
    font: "inherit",
  },
  ".cm-panel.cm-search": { padding: "6px 28px 6px 8px", fontFamily: "inherit", fontSize: "0.8125rem" },
  ".cm-panel.cm-search input[type=checkbox]": { minHeight: "16px" },
  ".cm-panel.cm-search [name=close]": { minWidth: "24px", color: "var(--vp-text-soft)" },
  ".cm-panel.cm-search label": { fontSize: "inherit", display: "inline-flex", alignItems: "center", gap: "4px", whiteSpace: "nowrap" },
  ".cm-tooltip": { backgroundColor: "var(--vp-raised)", color: "var(--vp-text)", border: "1px solid var(--vp-line-strong)" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--vp-red-dot)" },
  ".cm-lineWrong": { backgroundColor: "var(--vp-red-wash)" },
});

class VpXmlEditor extends HTMLElement {
  static observedAttributes = ["error-line", "error", "readonly"];
  #view = null;
  #area = null;
  #changing = new Compartment();
  #isWriting = false;

  connectedCallback() {
    // What is swapped in may get its textarea a moment later.
    queueMicrotask(() => this.#begin());
  }

  #begin() {
    this.#area = this.querySelector("textarea");
    if (!this.#area || !this.isConnected || this.#view) return;
    // Letters that are typed here are no shortcuts.
    this.classList.add("vp-no-keys");
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    root.replaceChildren();
    this.#view = new EditorView({ root, parent: root, state: this.#state(this.#area.value) });
    this.addEventListener("input", this.#given);
    document.addEventListener("htmx:afterSettle", this.#given);
    document.addEventListener("click", this.#labelClicked);
    if (this.getAttribute("error-line")) this.#showWrong();
  }

  disconnectedCallback() {
    document.removeEventListener("htmx:afterSettle", this.#given);
    document.removeEventListener("click", this.#labelClicked);
    this.#view?.destroy();
    this.#view = null;
  }

  attributeChangedCallback(name) {
    if (!this.#view) return;
    if (name === "readonly") this.#view.dispatch({ effects: this.#changing.reconfigure(this.#changeable()) });
    else this.#showWrong();
  }

  get value() {
    return this.#view ? this.#view.state.doc.toString() : this.querySelector("textarea")?.value ?? "";
  }

  set value(text) {
    if (this.#view && text !== this.value) {
      this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: text } });
    }
  }

  focus() {
    this.#view?.focus();
  }

  #state(text) {
    return EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        highlightActiveLineGutter(),
        history(),
        codeFolding(),
        foldGutter(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        highlightActiveLine(),
        highlightSelectionMatches(),
        search({ top: true }),
        EditorView.inputHandler.of(overtypesEndTag),
        xml(),
        syntaxHighlighting(COLOURS),
        lintGutter(),
        linter((view) => this.#faults(view), { delay: LINT_AFTER_MS }),
        // Tab leaves the editor, as it leaves every other field.
        keymap.of([...searchKeymap, ...historyKeymap, ...foldKeymap, ...lintKeymap, ...defaultKeymap]),
        this.#changing.of(this.#changeable()),
        EditorView.contentAttributes.of({ "aria-label": this.#label(), spellcheck: "false", tabindex: "0" }),
        EditorView.updateListener.of((update) => { if (update.docChanged) this.#write(); }),
        LOOK,
      ],
    });
  }

  #changeable() {
    const fixed = this.hasAttribute("readonly");
    return [EditorState.readOnly.of(fixed), EditorView.contentAttributes.of({ "aria-readonly": String(fixed) })];
  }

  #label() {
    return this.#area.labels?.[0]?.textContent.trim() || this.#area.getAttribute("aria-label") || "XML";
  }

  #write() {
    this.#isWriting = true;
    this.#area.value = this.value;
    this.#area.dispatchEvent(new Event("input", { bubbles: true }));
    this.#isWriting = false;
  }

  #given = () => {
    if (this.#isWriting || !this.#view) return;
    this.#area = this.querySelector("textarea") ?? this.#area;
    if (this.#area.value.replaceAll("\r\n", "\n") !== this.value) this.value = this.#area.value;
  };

  #labelClicked = (event) => {
    if (event.target.closest?.("label")?.control === this.#area) this.focus();
  };

  // --- what is wrong with it -------------------------------------------------------------------------------------

  #faults(view) {
    const said = this.#saidByServer(view.state);
    if (said && this.#isAsSent) return [said];
    const found = notWellFormed(view.state);
    return found ? [diagnostic(view.state, found.line, found.text)] : [];
  }

  get #isAsSent() {
    return this.value === this.#sent;
  }

  #sent = null;

  #saidByServer(state) {
    const line = Number(this.getAttribute("error-line"));
    if (!line) return null;
    this.#sent ??= state.doc.toString();
    return diagnostic(state, line, this.getAttribute("error") || "");
  }

  #showWrong() {
    this.#sent = null;
    forceLinting(this.#view);
    const line = Number(this.getAttribute("error-line"));
    if (!line) return;
    const { doc } = this.#view.state;
    const { from } = doc.line(Math.min(Math.max(line, 1), doc.lines));
    this.#view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
  }
}

function diagnostic(state, line, message) {
  const { from, to } = state.doc.line(Math.min(Math.max(line, 1), state.doc.lines));
  return { from, to, severity: "error", message };
}

// What the editor's own parser cannot make sense of; null when there is nothing wrong. (The browser's would draw its
// complaint in inline styles, which the content security policy refuses aloud.)
function notWellFormed(state) {
  if (!state.doc.toString().trim()) return null;
  const tree = ensureSyntaxTree(state, state.doc.length, PARSE_MS);
  let found = null;
  tree?.iterate({
    enter: ({ name, type, from, to, node }) => {
      if (found) return false;
      if (!(name in FAULTS) && !type.isError) return true;
      // What is never closed is marked where it begins, not at the end of everything.
      const isUnclosed = name === "MissingCloseTag" || (type.isError && from === to && node.parent?.name === "Element");
      const at = isUnclosed ? node.parent.from : from;
      const what = isUnclosed ? "xml_unclosed" : FAULTS[name] ?? "xml_broken";
      found = { line: state.doc.lineAt(at).number, text: word(what) };
      return false;
    },
  });
  return found;
}

customElements.define("vp-xml-editor", VpXmlEditor);
