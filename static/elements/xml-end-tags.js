// End tags write themselves in the XML editor; who types one all the same types over it, and does not get a second one.

const REACH = 200;

/** For EditorView.inputHandler: true where it has done what the key stands for. */
export function overtypesEndTag(view, from, to, text) {
  if (from !== to || text.length !== 1) return false;
  const before = view.state.sliceDoc(Math.max(0, from - REACH), from);
  const after = view.state.sliceDoc(from, from + REACH);
  if (text === "/" && isOwnEnd(before, after)) {
    view.dispatch({ changes: { from: from - 1, to: from }, selection: { anchor: from + 1 }, userEvent: "input.type" });
    return true;
  }
  if (text !== after[0] || !/<\/[^<>\s]*$/.test(before)) return false;
  view.dispatch({ selection: { anchor: from + 1 }, userEvent: "input.type" });
  return true;
}

/** "<title>web" and a "<" before the cursor, and its "</title>" behind it. */
function isOwnEnd(before, after) {
  if (!before.endsWith("<")) return false;
  const end = /^<\/([^<>\s]+)>/.exec(after);
  const start = /<([^<>\s/]+)(?:\s[^<>]*)?>[^<>]*$/.exec(withoutElements(before.slice(0, -1)));
  return end !== null && start !== null && start[1] === end[1];
}

/** Without what is begun and ended in the text. */
function withoutElements(text) {
  const less = text.replace(/<([^<>\s/]+)(?:\s[^<>]*)?>[^<>]*<\/\1>|<[^<>]*\/>/g, "");
  return less === text ? text : withoutElements(less);
}
