// Every <time datetime="…" data-to="minute|second"> in the viewer's own time zone, which is named on hover.
// The server writes them in its zone, for who has no scripts; see templatetags/units.py.

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const two = (number) => String(number).padStart(2, "0");

export function localTime(date, { to = "second" } = {}) {
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return `${day} ${time}${to === "second" ? `:${two(date.getSeconds())}` : ""}`;
}

// "13:15", with the day before it when that is not today.
export function clockTime(epochSeconds, now = new Date()) {
  const date = new Date(epochSeconds * 1000);
  const text = localTime(date, { to: "minute" });
  return date.toDateString() === now.toDateString() ? text.slice(-5) : text;
}

// Of one moment, as its title says it: with the zone and its distance from UTC.
export function wholeTime(date) {
  const offset = -date.getTimezoneOffset();
  const distance = `UTC${offset < 0 ? "−" : "+"}${Math.floor(Math.abs(offset) / 60)}${offset % 60 ? `:${two(Math.abs(offset) % 60)}` : ""}`;
  return `${localTime(date)} ${ZONE} (${distance})`;
}

function show(root) {
  for (const element of root.querySelectorAll?.("time[datetime][data-to]") ?? []) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    const text = localTime(date, { to: element.dataset.to });
    if (element.textContent !== text) element.textContent = text;
    element.title = wholeTime(date);
  }
}

document.addEventListener("htmx:afterSettle", ({ detail }) => show(detail.target?.isConnected ? detail.target : document));
document.addEventListener("htmx:historyRestore", () => show(document));
show(document);
