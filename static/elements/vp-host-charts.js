// <vp-host-charts hypervisor="3" src="…/usage.json" cpu-label memory-label empty>: CPU and memory of a host in the last
// hour, going on live. https://github.com/leeoniya/uPlot

import uPlot from "../vendor/uplot-1.6.32/uPlot.esm.js";
import { summarise } from "./chart-summary.js";
import { followUsage } from "./live.js";
import { clock, clocks, HOUR_SECONDS, timeRange } from "./time-axis.js";
import { memory, percent } from "./units.js";

const HEIGHT_PX = 150;
// A longer silence is a gap in the line.
const GAP_SECONDS = 30;

class VpHostCharts extends HTMLElement {
  async connectedCallback() {
    this.end = followUsage(`h${this.getAttribute("hypervisor")}`, this);
    this.repaint = () => this.draw();
    document.addEventListener("vp:theme", this.repaint);
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this);
    await this.load();
  }

  disconnectedCallback() {
    this.end?.();
    document.removeEventListener("vp:theme", this.repaint);
    this.resizing?.disconnect();
    this.clear();
  }

  async load() {
    const answer = await fetch(this.getAttribute("src"), { headers: { Accept: "application/json" } });
    if (!answer.ok || !this.isConnected) return;
    const { at, cpu, memory: used, memory_kib: total } = await answer.json();
    this.samples = { at, cpu, memory: used };
    this.total = total;
    this.draw();
  }

  applyUsage(at, [cpu, used]) {
    if (!this.samples) return;
    const { samples } = this;
    if (samples.at.length && at <= samples.at.at(-1)) return;
    samples.at.push(at);
    samples.cpu.push(cpu);
    samples.memory.push(used);
    while (samples.at[0] < at - HOUR_SECONDS) for (const values of Object.values(samples)) values.shift();
    if (this.charts) this.charts.forEach((chart, index) => chart.setData(this.data(index)));
    else this.draw();
    this.summarise();
  }

  summarise() {
    const [cpu, used] = this.querySelectorAll("figure");
    if (!used) return;
    summarise(cpu, [["", this.samples.cpu]], percent);
    summarise(used, [["", this.samples.memory]], memory);
  }

  draw() {
    this.clear();
    if (!this.samples?.at.length) {
      this.textContent = this.getAttribute("empty");
      return;
    }
    this.textContent = "";
    this.charts = [
      this.chart(0, this.getAttribute("cpu-label"), "--vp-chart-1", percent, 100),
      this.chart(1, this.getAttribute("memory-label"), "--vp-chart-2", memory, this.total),
    ];
    this.summarise();
  }

  chart(index, label, variable, words, top) {
    const figure = document.createElement("figure");
    figure.className = "vp-chart";
    const caption = document.createElement("figcaption");
    caption.textContent = label;
    figure.append(caption);
    this.append(figure);
    const style = getComputedStyle(this);
    const colour = style.getPropertyValue(variable).trim();
    const axis = { stroke: style.getPropertyValue("--vp-muted").trim(), font: `11px ${style.fontFamily}`, grid: { stroke: style.getPropertyValue("--vp-line").trim(), width: 1 }, ticks: { show: false } };
    return new uPlot({
      width: this.clientWidth, height: HEIGHT_PX,
      cursor: { points: { size: 6 }, drag: { x: false, y: false }, sync: { key: "host" } },
      legend: { show: false },
      padding: [8, 16, 0, 0],
      scales: { x: { time: true, range: () => timeRange(this.samples.at[0]) }, y: { range: (_, low, high) => [0, top || Math.max(high, 1)] } },
      axes: [
        { ...axis, grid: { show: false }, space: 70, size: 26, values: clocks },
        { ...axis, size: 62, space: 36, splits: () => [0, 0.5, 1].map((share) => share * (top || 1)), values: (_, ticks) => ticks.map((tick) => (tick ? words(tick) : "0")) },
      ],
      series: [{}, { stroke: colour, width: 1.5, fill: `color-mix(in srgb, ${colour} 14%, transparent)`, points: { show: false }, spanGaps: false }],
      hooks: { setCursor: [(chart) => { caption.textContent = reading(label, chart, words); }] },
    }, this.data(index), figure);
  }

  data(index) {
    const { at, cpu, memory: used } = this.samples;
    const values = index === 0 ? cpu : used;
    const times = [];
    const points = [];
    at.forEach((time, i) => {
      if (i && time - at[i - 1] > GAP_SECONDS) {
        times.push(at[i - 1] + 1);
        points.push(null);
      }
      times.push(time);
      points.push(values[i]);
    });
    return [times, points];
  }

  resize() {
    for (const chart of this.charts ?? []) if (this.clientWidth) chart.setSize({ width: this.clientWidth, height: HEIGHT_PX });
  }

  clear() {
    for (const chart of this.charts ?? []) chart.destroy();
    this.charts = null;
  }
}

function reading(label, chart, words) {
  const { idx } = chart.cursor;
  const value = idx === null || idx === undefined ? null : chart.data[1][idx];
  return value === null || value === undefined ? label : `${label} · ${words(value)} · ${clock(chart.data[0][idx])}`;
}

customElements.define("vp-host-charts", VpHostCharts);
