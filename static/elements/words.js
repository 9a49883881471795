// The page's words in the reader's language: the JSON block that templatetags/units.py writes.

let words = null;

// Controls, overrides of the writing direction, characters of no width; hypervisors/web/naming.py has the same.
const INVISIBLE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\u{e0000}-\u{e0fff}]/gu;

// A name inside a sentence: what nobody sees in it is shown, so that it cannot turn the sentence around.
export function visible(text) {
  return String(text).replace(INVISIBLE, (character) => `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

export function word(key, ...values) {
  words ??= JSON.parse(document.getElementById("words")?.textContent ?? "{}");
  let text = words[key] ?? key.split(".").at(-1);
  for (const value of values) text = text.replace("%s", value);
  return text;
}
