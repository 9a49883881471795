// <vp-charts domain src uplot memory off>: four charts of the last hour, drawn by uPlot, one crosshair through all.
// What is old, or of a machine that is `off`, is in the lines and not beside the titles.

import { follow, followUsage } from "./live.js";
import { summarise } from "./chart-summary.js";
import { clocks, HOUR_SECONDS, timeRange } from "./time-axis.js";
import { memory, percent, rate } from "./units.js";
import { followOff } from "./usage.js";
import { word } from "./words.js";

const NARROW_PX = 280;
const GAP_SECONDS = 20;
// The latest sample says for so long what is now.
const LATEST_MS = 15_000;
const LOOK_MS = 1000;
const PLACES = { cpu: [0], memory: [1], disk: [2, 3], net: [4, 5] };
const WORDS = { cpu: percent, memory, disk: rate, net: rate };

class VpCharts extends HTMLElement {
  static observedAttributes = ["off"];

  plots = new Map();

  async connectedCallback() {
    this.ended = false;
    const domain = this.getAttribute("domain");
    this.ends = [followUsage(domain, this), follow(`domain:${domain}`, this)];
    this.looking = setInterval(() => this.sayAll(), LOOK_MS);
    document.addEventListener("vp:theme", this.redrawSoon);
    document.addEventListener("vp:resync", this.load);
    this.sizes = new ResizeObserver(() => this.resize());
    this.scheme = window.matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.redrawSoon);
    const [{ default: UPlot }] = await Promise.all([import(this.getAttribute("uplot")), this.load()]);
    if (this.ended) return;
    this.UPlot = UPlot;
    this.build();
    this.sizes.observe(this);
  }

  disconnectedCallback() {
    this.ended = true;
    for (const end of this.ends) end();
    clearInterval(this.looking);
    document.removeEventListener("vp:theme", this.redrawSoon);
    document.removeEventListener("vp:resync", this.load);
    this.scheme.removeEventListener("change", this.redrawSoon);
    this.sizes.disconnect();
    this.clear();
  }

  load = async () => {
    this.at ??= [];
    this.columns ??= [[], [], [], [], [], []];
    try {
      const answer = await fetch(this.getAttribute("src"));
      if (!answer.ok) return;
      const { now, at, columns } = await answer.json();
      [this.at, this.columns] = [at, columns];
      this.sampledAt = at.length ? performance.now() - 1000 * (now - at.at(-1)) : -Infinity;
    } catch {
      return;
    }
    this.show();
  };

  applyUsage(at, values) {
    if (!this.at || at <= (this.at.at(-1) ?? 0)) return;
    this.sampledAt = performance.now();
    this.at.push(Math.round(at));
    values.forEach((value, i) => this.columns[i].push(value));
    while (this.at[0] < at - HOUR_SECONDS) {
      this.at.shift();
      for (const column of this.columns) column.shift();
    }
    this.show();
  }

  applyChange(fields) {
    followOff(this, fields);
  }

  attributeChangedCallback() {
    this.sayAll();
  }

  clear() {
    for (const plot of this.plots.values()) plot.destroy();
    this.plots.clear();
  }

  isNarrow() {
    return this.querySelector("figure").clientWidth < NARROW_PX;
  }

  build() {
    this.clear();
    this.narrow = this.isNarrow();
    this.classList.toggle("is-narrow", this.narrow);
    for (const figure of this.querySelectorAll("figure")) {
      const name = figure.dataset.chart;
      this.plots.set(name, new this.UPlot(this.options(name, figure), this.data(name), figure));
    }
    this.show();
  }

  // A gap in the samples is a gap in the line.
  data(name) {
    const columns = [[], ...PLACES[name].map(() => [])];
    let before = 0;
    this.at.forEach((at, i) => {
      if (before && at - before > GAP_SECONDS) {
        columns[0].push(before + 1);
        columns.slice(1).forEach((column) => column.push(null));
      }
      columns[0].push(at);
      PLACES[name].forEach((place, j) => columns[j + 1].push(this.value(name, this.columns[place][i])));
      before = at;
    });
    return columns;
  }

  // What is not reported is a gap; a guest may count a little more than it was given.
  value(name, measured) {
    if (measured === null) return null;
    return name === "memory" ? Math.min(measured, Number(this.getAttribute("memory"))) : measured;
  }

  options(name, figure) {
    const style = getComputedStyle(this);
    const color = (token) => style.getPropertyValue(token).trim();
    const colors = [color("--vp-chart-1"), color("--vp-chart-2")];
    const words = WORDS[name];
    const font = "11px system-ui, sans-serif";
    const line = { stroke: color("--vp-line"), width: 1 };
    const muted = color("--vp-muted");
    return {
      ...this.size(figure),
      cursor: { sync: { key: `vm-${this.getAttribute("domain")}` }, drag: { x: false, y: false }, points: { size: 6 }, y: false },
      legend: { show: false },
      padding: [6, 8, 0, 0],
      scales: {
        x: { time: true, range: () => timeRange(this.at[0]) },
        y: { range: (plot, low, high) => [0, this.top(name, high)] },
      },
      axes: [
        { stroke: muted, font, grid: { show: false }, ticks: { show: false }, size: 22, space: 60, values: clocks },
        { stroke: muted, font, grid: line, ticks: { show: false }, size: this.narrow ? 0 : 66, splits: (plot, axis, low, high) => [0, high / 2, high], values: (plot, splits) => this.narrow ? [] : splits.map((value) => (value ? words(value) : "0")) },
      ],
      series: [
        {},
        ...PLACES[name].map((_, i) => ({ stroke: colors[i], width: 1.25, dash: i ? [4, 3] : undefined, fill: i ? undefined : `color-mix(in srgb, ${colors[i]} 14%, transparent)`, points: { show: false }, spanGaps: false })),
      ],
      hooks: { setCursor: [(plot) => this.say(name, figure, plot.cursor.idx)] },
    };
  }

  top(name, high) {
    if (name === "cpu") return 100;
    if (name === "memory") return Number(this.getAttribute("memory")) || 1;
    return 2 ** Math.ceil(Math.log2(Math.max(1024, (high ?? 0) * 1.05)));
  }

  size(figure) {
    return { width: Math.max(100, figure.clientWidth - 20), height: this.narrow ? 78 : 118 };
  }

  resize() {
    const narrow = this.isNarrow();
    if (narrow !== this.narrow) return this.build();
    for (const figure of this.querySelectorAll("figure")) this.plots.get(figure.dataset.chart)?.setSize(this.size(figure));
  }

  redrawSoon = () => requestAnimationFrame(() => this.UPlot && !this.ended && this.build());

  show() {
    for (const [name, plot] of this.plots) {
      plot.setData(this.data(name));
      this.summarise(name, this.querySelector(`[data-chart="${name}"]`));
    }
    this.sayAll();
  }

  summarise(name, figure) {
    const labels = [figure.dataset.first ?? "", figure.dataset.second ?? ""];
    summarise(figure, PLACES[name].map((place, i) => [labels[i], this.columns[place].map((value) => this.value(name, value))]), WORDS[name]);
  }

  sayAll() {
    for (const [name, plot] of this.plots) this.say(name, this.querySelector(`[data-chart="${name}"]`), plot.cursor.idx);
  }

  get isCurrent() {
    return !this.hasAttribute("off") && performance.now() - this.sampledAt < LATEST_MS;
  }

  // Beside the title: what is under the crosshair, else the latest.
  say(name, figure, index) {
    const plot = this.plots.get(name);
    const columns = plot ? plot.data : this.data(name);
    const place = index ?? columns[0].length - 1;
    const values = columns.slice(1).map((column) => column[place]);
    const label = figure.querySelector("figcaption b");
    if ((index ?? null) === null && !this.isCurrent) label.textContent = "–";
    else if (name === "memory" && values[0] === null && place === columns[0].length - 1) label.textContent = word("not_reported");
    else if (values.some((value) => value === null || value === undefined)) label.textContent = "";
    else if (name === "memory") label.textContent = `${memory(values[0])} / ${memory(Number(this.getAttribute("memory")))}`;
    else if (name === "cpu") label.textContent = percent(values[0]);
    else label.replaceChildren(...values.map((value, i) => reading(i, i ? figure.dataset.second : figure.dataset.first, rate(value))));
  }
}

function reading(i, word, value) {
  const [both, key] = [document.createElement("span"), document.createElement("span")];
  key.className = `vp-key-${i + 1}`;
  key.textContent = word;
  both.append(key, ` ${value}`);
  return both;
}

customElements.define("vp-charts", VpCharts);

