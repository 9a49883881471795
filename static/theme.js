// Applied before the first paint: the remembered colours, and the inventory's width. Loaded blocking, so kept tiny.
(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const remembered = (key) => {
    try { return localStorage.getItem(key); } catch { return null; }
  };
  const apply = () => {
    const theme = remembered("vmportal.theme") || "auto";
    root.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
    root.dataset.bsTheme = root.dataset.theme;
    root.dataset.themeChoice = theme;
  };
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("vp:theme", apply);
  const width = Number(remembered("vmportal.side.width"));
  if (width) root.style.setProperty("--vp-side-width", `${width}px`);
  if (remembered("vmportal.side.closed") === "1") root.dataset.side = "closed";
  if (remembered("vmportal.tasks.open") === "1") root.dataset.tasks = "open";
})();
