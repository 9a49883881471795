// The page's words in the reader's language: the JSON block that templatetags/units.py writes.

let words = null;

export function word(key, ...values) {
  words ??= JSON.parse(document.getElementById("words")?.textContent ?? "{}");
  let text = words[key] ?? key.split(".").at(-1);
  for (const value of values) text = text.replace("%s", value);
  return text;
}
