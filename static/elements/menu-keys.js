// Menus (details.vp-menu) by keyboard: arrows, Home and End walk through the entries, Tab and Escape close them.
// https://www.w3.org/WAI/ARIA/apg/patterns/disclosure/

const MENUS = "details.vp-menu";
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.(MENUS);
  if (!menu || event.ctrlKey || event.metaKey || event.altKey) return;
  const summary = menu.querySelector("summary");
  if (event.key in STEPS || event.key === "Home" || event.key === "End") {
    if (!menu.open && event.key in STEPS) open(menu);
    if (menu.open) walk(menu, event.key);
  } else if (event.key === "Escape" && menu.open) {
    // The menu alone: not the dialog or the drawer around it.
    event.stopPropagation();
    menu.open = false;
    summary.focus();
  } else {
    // From where the menu hangs on, forward or back.
    if (event.key === "Tab" && menu.open) {
      summary.focus();
      menu.open = false;
    }
    return;
  }
  event.preventDefault();
}, true);

function open(menu) {
  menu.open = true;
  // Those of before are about to be replaced by those that are fetched.
  if (menu.dataset.src) menu.querySelector(".vp-menu-items").replaceChildren();
}

function entries(menu) {
  return [...menu.querySelectorAll(".vp-menu-items :is(a[href], button:not(:disabled))")].filter((entry) => entry.checkVisibility());
}

function walk(menu, key) {
  const found = entries(menu);
  if (!found.length) return waitFor(menu, key);
  const now = found.indexOf(document.activeElement);
  const ends = { Home: 0, End: found.length - 1 };
  const from = now < 0 && key === "ArrowUp" ? 0 : now;
  found[ends[key] ?? (from + STEPS[key] + found.length) % found.length].focus();
}

// Its entries are being fetched.
function waitFor(menu, key) {
  const observer = new MutationObserver(() => {
    if (menu.open && !entries(menu).length) return;
    observer.disconnect();
    if (menu.open && menu.contains(document.activeElement)) walk(menu, key);
  });
  observer.observe(menu, { childList: true, subtree: true });
}

// Whoever goes elsewhere with the keyboard leaves no menu open behind.
document.addEventListener("focusout", ({ target, relatedTarget }) => {
  const menu = target.closest?.(MENUS);
  if (menu?.open && relatedTarget && !menu.contains(relatedTarget)) menu.open = false;
});
