"use strict";
// Everything from a model or a run folder reaches the page as textContent, never as markup.
const $ = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// --- numbers ---------------------------------------------------------------------------------------------------------

// As many as the step between two ticks has: 0.25 needs two.
function decimals(step) {
  for (let d = 0; d < 8; d++) if (Math.abs(step * 10 ** d - Math.round(step * 10 ** d)) < 1e-6 * step * 10 ** d) return d;
  return 8;
}
const plain = (v) => v && Math.abs(v) < 1e-3 ? Number(v.toPrecision(3)).toExponential()
  : Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en") : Number(v.toPrecision(4)).toString();
const shownAs = { number: plain, percent: (v) => `${Number((100 * v).toPrecision(3))} %` };

// A tick says as many digits as tell it from its neighbours.
function tick(v, step, as) {
  if (as === "percent") return `${(100 * v).toFixed(decimals(100 * step))} %`;
  if (!v) return "0";
  if (step >= 1e-4 && Math.abs(v) < 1e6) return v.toLocaleString("en", { minimumFractionDigits: decimals(step), maximumFractionDigits: decimals(step) });
  const digits = Math.max(0, Math.min(6, Math.floor(Math.log10(Math.abs(v)) + 1e-9) - Math.floor(Math.log10(step) + 1e-9)));
  return v.toExponential(digits);
}

// --- charts ----------------------------------------------------------------------------------------------------------

const charts = [];
const BAND = "error band";
const FONT = "11px system-ui, sans-serif";
const WHOLE = [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4, 5, 6, 7].map((power) => n * 10 ** power)).sort((a, b) => a - b);
const ruler = document.createElement("canvas").getContext("2d");
ruler.font = FONT;

function stacked(series) {
  const sums = [];
  return series.map((one) => one.values.map((v, i) => { sums[i] = (sums[i] || 0) + (v || 0); return v === null ? null : sums[i]; }));
}

function axes(panel) {
  const axis = { stroke: color("--faint"), grid: { stroke: color("--grid"), width: 1 }, ticks: { stroke: color("--grid"), size: 4 }, font: FONT,
    labelFont: FONT, labelSize: 18, gap: 4 };
  const x = { ...axis, label: panel.x_label, size: 26, space: 44, values: (u, splits, i, space, step) => splits.map((v) => tick(v, step)) };
  if (panel.x.every(Number.isInteger)) x.incrs = WHOLE;
  // As wide as its longest number: a fixed width cuts digits off.
  const size = (u, values) => Math.ceil(Math.max(12, ...(values ?? []).map((text) => ruler.measureText(text ?? "").width))) + 12;
  return [x, { ...axis, label: panel.y_label, size, values: (u, splits, i, space, step) => splits.map((v) => tick(v, step, panel.shown_as)) }];
}

// Under the pointer, the values there; at rest the newest ones (of bars, their sum), so that a legend is never without numbers.
function legendOf(panel, values, format) {
  const last = values.findLastIndex((v) => v !== null);
  return (u, v, s, at) => {
    if (at === null || at === undefined) return panel.kind === "bars" ? plain(values.reduce((sum, n) => sum + n, 0)) : format(values[last]);
    return values[at] === null || values[at] === undefined ? "none" : format(values[at]);
  };
}

function chartOptions(panel, width) {
  const format = shownAs[panel.shown_as];
  const newest = panel.kind === "bars" ? "all" : `${plain(panel.x.at(-1))} (newest)`;
  const options = { width, height: 216, bands: [], scales: { x: { time: false } }, axes: axes(panel), cursor: { sync: { key: panel.x_label } },
    series: [{ label: panel.x_label, value: (u, v, s, at) => at === null || at === undefined ? newest : plain(panel.x[at]) }], legend: { live: true } };
  const data = [panel.x];
  const totals = panel.kind === "stack" ? stacked(panel.series) : null;
  // Areas on top of each other are drawn from the highest down, each to the one below it.
  panel.series.forEach((one, i) => {
    const stroke = color(`--s${i % 8}`);
    const few = one.values.filter((v) => v !== null).length < 40;
    const line = { label: one.name, stroke, width: 1.6, spanGaps: true, points: { show: few, size: 5 }, value: legendOf(panel, one.values, format) };
    if (panel.kind === "bars") Object.assign(line, { paths: uPlot.paths.bars({ size: [0.8 / panel.series.length, 60], align: panel.series.length > 1 ? (i ? 1 : -1) : 0 }), fill: stroke + "88", points: { show: false } });
    if (panel.kind === "stack") { line.points = { show: false }; line.width = 1; if (i === 0) line.fill = stroke + "66"; }
    data.push(totals ? totals[i] : one.values);
    options.series.push(line);
    const own = data.length - 1;
    if (panel.kind === "stack" && i > 0) options.bands.push({ series: [own, own - 1], fill: stroke + "66" });
    if (one.low) {
      data.push(one.high, one.low);
      const edge = { stroke: "transparent", points: { show: false }, spanGaps: true, label: BAND };
      options.series.push({ ...edge }, { ...edge });
      options.bands.push({ series: [own + 1, own + 2], fill: stroke + "2a" });
    }
  });
  const upright = panel.kind !== "lines";
  options.scales.y = { range: (u, low, high) => upright || (low === 0 && high === 0) ? [0, panel.kind === "stack" && panel.shown_as === "percent" ? 1 : high || 1]
    : low === high ? [low - Math.abs(low) / 2, low + Math.abs(low) / 2] : uPlot.rangeNum(low, high, 0.1, false) };
  if (panel.kind === "bars") {
    const half = panel.x.length > 1 ? (panel.x[1] - panel.x[0]) / 2 : 0.5;
    options.scales.x.range = (u, low, high) => [low - half, high + half];
  } else if (panel.x.length === 1) options.scales.x.range = (u, low, high) => [low - 1, high + 1];
  return { options, data };
}

function drawCharts(panels) {
  charts.splice(0).forEach((chart) => chart.destroy());
  const place = $("charts"), cards = [], sections = {};
  place.replaceChildren();
  for (const panel of panels) {
    if (!sections[panel.section]) {
      place.append(make("h2", "", panel.section));
      sections[panel.section] = make("div", "panels");
      place.append(sections[panel.section]);
    }
    const card = make("div", panel.warning ? "panel warning" : "panel");
    card.append(make("h3", "", panel.title));
    sections[panel.section].append(card);
    cards.push(card);
  }
  // Widths are asked for once, after all cards stand: each question would lay the page out anew.
  const widths = cards.map((card) => Math.max(200, card.clientWidth - 26));
  panels.forEach((panel, i) => {
    const { options, data } = chartOptions(panel, widths[i]);
    const chart = new uPlot(options, data, cards[i]);
    chart.root.querySelectorAll(".u-series").forEach((row) => { if (row.querySelector(".u-label").textContent === BAND) row.style.display = "none"; });
    if (panel.note) cards[i].append(make("p", "", panel.note));
    charts.push(chart);
  });
}
