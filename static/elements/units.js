// Numbers as people read them; the same words as templatetags/units.py.

const BINARY = ["KiB", "MiB", "GiB", "TiB", "PiB"];

export function memory(kib) {
  return scaled(kib, 0);
}

export function bytes(count) {
  return scaled(count / 1024, 0);
}

export function rate(bytesPerSecond) {
  if (bytesPerSecond < 1024) return `${Math.round(bytesPerSecond)} B/s`;
  return `${bytes(bytesPerSecond)}/s`;
}

function scaled(value, unit) {
  let step = unit;
  while (value >= 1024 && step < BINARY.length - 1) {
    value /= 1024;
    step += 1;
  }
  const digits = value < 10 && value % 1 ? 1 : 0;
  return `${value.toFixed(digits).replace(/\.0$/, "")} ${BINARY[step]}`;
}

export function percent(value) {
  return value < 10 ? `${value.toFixed(1).replace(/\.0$/, "")} %` : `${Math.round(value)} %`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}
