// What static/elements/vp-xml-editor.js takes of CodeMirror 6. deploy/setup.sh makes one module of it: CodeMirror's own
// modules import one another by bare names, which browsers do not find.

export { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
export { xml } from "@codemirror/lang-xml";
export { HighlightStyle, bracketMatching, codeFolding, ensureSyntaxTree, foldGutter, foldKeymap, indentOnInput, syntaxHighlighting } from "@codemirror/language";
export { forceLinting, lintGutter, lintKeymap, linter } from "@codemirror/lint";
export { highlightSelectionMatches, openSearchPanel, search, searchKeymap } from "@codemirror/search";
export { Compartment, EditorState } from "@codemirror/state";
export { EditorView, drawSelection, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";
export { tags } from "@lezer/highlight";
