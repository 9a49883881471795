// How far an operation is, in words: the keys are those of Operation.progress; every one may be missing.

import { bytes, duration, rate } from "./units.js";
import { word } from "./words.js";

export function progressWords(progress) {
  if (progress?.note) return progress.note;
  if (progress?.children) return childrenWords(progress.children);
  const { transferred_bytes: done, total_bytes: total, bytes_per_second: speed, remaining_seconds: left } = progress ?? {};
  const parts = [];
  if (done !== undefined) parts.push(total ? `${bytes(done)} / ${bytes(total)}` : bytes(done));
  if (speed) parts.push(rate(speed));
  if (left !== undefined && left !== null) parts.push(word("left", duration(left)));
  return parts.join(" · ");
}

// "3 of 12 done, 1 failed": of a bulk request.
function childrenWords({ total, done, failed }) {
  const words = word("children_done", done, total);
  return failed ? `${words}, ${word("children_failed", failed)}` : words;
}
