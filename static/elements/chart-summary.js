// What a chart shows, in a sentence for who does not see it: it stands beside the canvas, hidden from the eye.

import { word } from "./words.js";

const AGAIN_MS = 15_000;

// `columns` are pairs of a label ("" for the only one) and its values; `words` says one value.
export function summarise(figure, columns, words) {
  let place = figure.querySelector(".vp-chart-summary");
  if (!place) {
    place = document.createElement("p");
    place.className = "vp-chart-summary visually-hidden";
    figure.append(place);
  }
  // Not under somebody who is reading it.
  if (place.textContent && performance.now() - Number(place.dataset.at) < AGAIN_MS) return;
  place.dataset.at = performance.now();
  place.textContent = columns.map(([label, values]) => [label, sentence(values, words)].filter(Boolean).join(": ")).join(" ");
}

function sentence(values, words) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (!known.length) return word("chart_empty");
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return word("chart_summary", words(Math.min(...known)), words(Math.max(...known)), words(mean));
}
