// The hour that charts show: less of it while there are samples of less, so that a young line is not a sliver.

export const HOUR_SECONDS = 3600;
const LEAST_SECONDS = 300;

export function timeRange(firstAt) {
  const now = Date.now() / 1000;
  const first = Math.min(firstAt ?? now, now - LEAST_SECONDS);
  return [Math.max(first, now - HOUR_SECONDS), now];
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

// Ticks whose first or last label would be cut off at the edge stay without one.
export function clocks(plot, ticks) {
  const { min, max } = plot.scales.x;
  const edge = ((max - min) * 18) / Math.max(1, plot.bbox.width / devicePixelRatio);
  return ticks.map((at) => (at > max - edge ? "" : clock(at)));
}
