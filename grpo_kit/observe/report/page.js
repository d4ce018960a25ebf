"use strict";
// Everything from a model reaches the page as textContent, never as markup.
const $ = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// --- charts ----------------------------------------------------------------------------------------------------------

const charts = [];
const BAND = "error band";

function stacked(series) {
  const sums = [];
  return series.map((one) => one.values.map((v, i) => { sums[i] = (sums[i] || 0) + (v || 0); return v === null ? null : sums[i]; }));
}

function chartOptions(panel, width) {
  const axis = { stroke: color("--faint"), grid: { stroke: color("--grid"), width: 1 }, ticks: { stroke: color("--grid") }, size: 52,
    font: "11px system-ui" };
  const options = { width, height: 210, series: [{ label: panel.x_label }], bands: [], scales: { x: { time: false } },
    axes: [{ ...axis, size: 30 }, { ...axis, values: (u, splits) => splits.map(number) }], cursor: { sync: { key: panel.x_label } }, legend: { live: true } };
  const data = [panel.x];
  const totals = panel.kind === "stack" ? stacked(panel.series) : null;
  // Areas on top of each other are drawn from the highest down, each to the one below it.
  panel.series.forEach((one, i) => {
    const stroke = color(`--s${i % 8}`);
    const few = one.values.filter((v) => v !== null).length < 40;
    const line = { label: one.name, stroke, width: 1.6, spanGaps: true, points: { show: few, size: 5 } };
    const shown = (u, v, s, at) => { const x = at === null || at === undefined ? null : one.values[at]; return x === null || x === undefined ? "-" : number(x); };
    line.value = shown;
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
  options.scales.y = { range: (u, low, high) => upright || (low === 0 && high === 0) ? [0, high || 1]
    : low === high ? [low - Math.abs(low) / 2, low + Math.abs(low) / 2] : uPlot.rangeNum(low, high, 0.1, false) };
  if (panel.kind === "bars") {
    const half = panel.x.length > 1 ? (panel.x[1] - panel.x[0]) / 2 : 0.5;
    options.scales.x.range = (u, low, high) => [low - half, high + half];
  }
  return { options, data };
}

const number = (v) => v && Math.abs(v) < 1e-3 ? Number(v.toPrecision(3)).toExponential() : Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en") : Number(v.toPrecision(4)).toString();

function drawCharts(panels) {
  charts.splice(0).forEach((chart) => chart.destroy());
  const place = $("charts");
  place.replaceChildren();
  const sections = {};
  for (const panel of panels) {
    if (!sections[panel.section]) {
      place.append(make("h2", "", panel.section));
      sections[panel.section] = make("div", "panels");
      place.append(sections[panel.section]);
    }
    const card = make("div", panel.warning ? "panel warning" : "panel");
    card.append(make("h3", "", panel.title));
    sections[panel.section].append(card);
    const { options, data } = chartOptions(panel, Math.max(280, card.clientWidth - 26));
    const chart = new uPlot(options, data, card);
    chart.root.querySelectorAll(".u-series").forEach((row) => { if (row.querySelector(".u-label").textContent === BAND) row.style.display = "none"; });
    if (panel.note) card.append(make("p", "", panel.note));
    charts.push(chart);
  }
}

function drawResults(table) {
  if (!table) return;
  const place = $("results");
  place.hidden = false;
  place.append(make("h2", "", "Results"));
  const node = make("table"), head = make("tr");
  [...table.header, "95 % interval"].forEach((name) => head.append(make("th", "", name)));
  node.append(head);
  table.rows.forEach((cells, i) => {
    const row = make("tr");
    cells.forEach((cell) => row.append(make("td", "", cell)));
    const bar = make("div", "interval"), found = table.intervals[i], last = make("td");
    if (found.low !== null) {
      const range = make("i"), mark = make("b");
      Object.assign(range.style, { left: `${100 * found.low}%`, width: `${100 * (found.high - found.low)}%` });
      mark.style.left = `calc(${100 * found.value}% - 1px)`;
      bar.append(range, mark);
    }
    last.append(bar);
    row.append(last);
    node.append(row);
  });
  const scroll = make("div", "results scroll-x");
  scroll.append(node);
  place.append(scroll);
  table.notes.forEach((note) => place.append(make("p", "faint", note)));
}

// --- completions -----------------------------------------------------------------------------------------------------

const COLUMNS = [["step", "step"], ["task", "task"], ["problem", "problem"], ["sample", "sample"], ["score", "score"],
  ["advantage", "advantage"], ["length", "length"], ["stop", "stop"]];
const HEIGHT = 26;
let rows, pieces, blockSize, blocks, order = [], chosen = null, sorting = { key: null, down: false }, searched = null;

const verdict = (i) => rows.status[i] !== "ok" ? "unjudged" : rows.score[i] >= 1 ? "right" : rows.score[i] <= 0 ? "wrong" : "";
const cell = (key, i) => {
  const value = rows[key][i];
  if (key === "score" && rows.status[i] !== "ok") return rows.status[i];
  if (key === "sample" && value === -1) return "greedy";
  if (value === null || value === "") return "-";
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(2) : String(value);
};

async function content(i) {
  const number = Math.floor(i / blockSize);
  blocks[number].read ??= unpack(blocks[number].text);
  return (await blocks[number].read)[i % blockSize];
}

// A condition on a number: "3", "2-5", "> 0", "<= 1".
function condition(text) {
  text = text.trim();
  if (!text) return () => true;
  let found = /^(<=|>=|<|>|=|!=)\s*(-?[\d.]+)$/.exec(text);
  if (found) {
    const n = Number(found[2]);
    return { "<": (v) => v < n, "<=": (v) => v <= n, ">": (v) => v > n, ">=": (v) => v >= n, "=": (v) => v === n, "!=": (v) => v !== n }[found[1]];
  }
  found = /^(-?[\d.]+)\s*(?:-|\.\.|to)\s*(-?[\d.]+)$/.exec(text);
  if (found) return (v) => v >= Number(found[1]) && v <= Number(found[2]);
  return /^-?[\d.]+$/.test(text) ? (v) => v === Number(text) : null;
}

async function search(words) {
  if (!words) return null;
  const hits = new Set();
  for (let start = 0; start < rows.step.length; start += blockSize) {
    await content(start);
    (await blocks[start / blockSize].read).forEach((c, at) => {
      if (`${c.prompt}\n${c.response}\n${c.answer}`.toLowerCase().includes(words)) hits.add(start + at);
    });
  }
  return { words, hits };
}

let filtering = 0;
async function filter() {
  const turn = ++filtering;
  const number = {};
  for (const key of ["step", "score", "advantage"]) {
    const input = $(`f-${key}`);
    number[key] = condition(input.value);
    input.classList.toggle("bad", number[key] === null);
    number[key] ??= () => true;
  }
  const words = $("f-search").value.trim().toLowerCase();
  if ((searched?.words ?? "") !== words) {
    $("count").textContent = "searching ...";
    const found = await search(words);
    if (turn !== filtering) return;
    searched = found;
  }
  const task = $("f-task").value.trim().toLowerCase(), stop = $("f-stop").value, status = $("f-status").value;
  order = [];
  for (let i = 0; i < rows.step.length; i++) {
    if ((rows.step[i] === null || number.step(rows.step[i])) && number.score(rows.score[i])
      && (rows.advantage[i] === null ? !$("f-advantage").value.trim() : number.advantage(rows.advantage[i]))
      && (!stop || rows.stop[i] === stop) && (!status || rows.status[i] === status)
      && (!task || `${rows.task[i]} ${rows.problem[i]}`.toLowerCase().includes(task)) && (!searched || searched.hits.has(i))) order.push(i);
  }
  sort();
}

function sort() {
  const { key, down } = sorting;
  if (key) {
    const values = rows[key], sign = down ? -1 : 1;
    order.sort((a, b) => {
      const x = values[a], y = values[b];
      if (x === y) return a - b;
      if (x === null) return 1;
      if (y === null) return -1;
      return sign * (x < y ? -1 : 1);
    });
  }
  $("count").textContent = `${order.length.toLocaleString("en")} of ${rows.step.length.toLocaleString("en")}`;
  $("head").querySelectorAll("button").forEach((b) => {
    if (b.dataset.key === key) b.setAttribute("aria-sort", down ? "descending" : "ascending"); else b.removeAttribute("aria-sort");
  });
  $("scroll").scrollTop = 0;
  paint();
}

// Only the rows in sight exist: ten thousand rows cost as much as thirty.
function paint() {
  const scroll = $("scroll"), space = $("space");
  space.style.height = `${order.length * HEIGHT}px`;
  const first = Math.max(0, Math.floor(scroll.scrollTop / HEIGHT) - 5);
  const last = Math.min(order.length, first + Math.ceil(scroll.clientHeight / HEIGHT) + 10);
  const shown = [];
  for (let at = first; at < last; at++) {
    const i = order[at], row = make("div", i === chosen ? "row chosen" : "row");
    row.style.top = `${at * HEIGHT}px`;
    row.dataset.index = i;
    COLUMNS.forEach(([key]) => row.append(make("span", key === "score" ? verdict(i) : "", cell(key, i))));
    shown.push(row);
  }
  space.replaceChildren(...shown);
}

function move(by) {
  const at = Math.max(0, Math.min(order.length - 1, order.indexOf(chosen) + by));
  if (!order.length) return;
  const scroll = $("scroll"), top = at * HEIGHT;
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  if (top + HEIGHT > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + HEIGHT - scroll.clientHeight;
  choose(order[at]);
}

// --- one completion --------------------------------------------------------------------------------------------------

let heatKind = "logprob";

async function choose(i) {
  chosen = i;
  paint();
  const c = await content(i), place = $("detail");
  if (chosen !== i) return;
  const facts = make("dl");
  const fact = (name, value, className) => facts.append(make("dt", "", name), make("dd", className, value));
  fact("problem", [rows.step[i] === null ? "" : `step ${rows.step[i]}`, rows.task[i], rows.problem[i], `sample ${cell("sample", i)}`].filter(Boolean).join(", "));
  fact("score", cell("score", i), verdict(i));
  if (rows.advantage[i] !== null) fact("advantage", String(rows.advantage[i]));
  fact("gold", c.answer);
  for (const [name, s] of Object.entries(c.scores)) {
    const value = s.status === "ok" ? String(s.value) : s.status;
    fact(name, [value, s.extracted === null ? "no answer extracted" : `extracted: ${s.extracted}`, s.reason].filter(Boolean).join(" · "));
  }
  fact("end", `${cell("stop", i)}, ${rows.length[i].toLocaleString("en")} ${c.ids.length ? "tokens" : "characters"}`);
  const completion = make("div");
  await drawCompletion(completion, i, c);
  const group = make("div", "group");
  place.replaceChildren(make("h3", "", "Prompt"), make("div", "text", c.prompt), make("h3", "", "Completion"), completion, facts, make("h3", "", "Group"), group);
  place.scrollTop = 0;
  await drawGroup(group, i);
}

async function drawGroup(place, i) {
  const members = [];
  for (let j = 0; j < rows.group.length; j++) if (rows.group[j] === rows.group[i]) members.push(j);
  const cards = await Promise.all(members.map(async (j) => {
    const c = await content(j), good = (rows.advantage[j] ?? rows.score[j] - 0.5) > 0;
    const card = make("div", `card ${rows.status[j] !== "ok" ? "" : good ? "good" : "poor"} ${j === i ? "chosen" : ""}`);
    const advantage = rows.advantage[j] === null ? "" : `, advantage ${rows.advantage[j] > 0 ? "+" : ""}${rows.advantage[j].toFixed(2)}`;
    card.append(make("h3", verdict(j), `${cell("sample", j)}: ${cell("score", j)}${advantage}`), make("div", "text", c.response));
    const answers = Object.values(c.scores).map((s) => s.extracted).filter((e) => e !== null);
    card.append(make("p", "faint", `${answers[0] === undefined ? "no answer" : `answer ${answers[0]}`}, ${cell("stop", j)}, ${rows.length[j]}`));
    card.onclick = () => choose(j);
    return card;
  }));
  place.replaceChildren(...cards);
}

// Diverging for signed values around `middle`, from clear to strong for log-probabilities.
function ramp(kind, values) {
  if (kind === "logprob") return { low: "likely", high: "surprising", css: ["transparent", "#d9480f"], of: (v) => ["#d9480f", Math.sqrt(Math.min(1, Math.max(0, -v) / 5))] };
  const middle = kind === "ratio" ? 1 : 0;
  const reach = Math.max(1e-6, ...values.map((v) => Math.abs(v - middle)));
  return { low: (middle - reach).toPrecision(3), high: (middle + reach).toPrecision(3), css: ["#b3362c", "#1b7f4b"],
    of: (v) => [v < middle ? "#b3362c" : "#1b7f4b", Math.abs(v - middle) / reach] };
}

async function drawCompletion(place, i, c) {
  const known = Object.keys(c.values);
  // One advantage for the whole completion is the same for each of its tokens, relative to its group.
  if (rows.advantage[i] !== null && !known.includes("advantage")) known.push("advantage");
  if (!c.ids.length || !known.length) { place.append(make("div", "text", c.response || "(empty)")); return; }
  const tools = make("div", "heat-tools"), select = make("select"), text = make("div", "text heat");
  select.id = "heat";
  ["plain text", ...known].forEach((name) => { const o = make("option", "", name); o.value = name; select.append(o); });
  select.value = known.includes(heatKind) || heatKind === "plain text" ? heatKind : known[0];
  const low = make("span"), bar = make("span", "ramp"), high = make("span");
  tools.append("color tokens by", select, low, bar, high);
  const draw = async () => {
    heatKind = select.value;
    const plain = heatKind === "plain text";
    [low, bar, high].forEach((n) => { n.hidden = plain; });
    if (plain) { text.textContent = c.response; return; }
    const single = heatKind === "advantage" && !c.values.advantage;
    const values = single ? c.ids.map(() => rows.advantage[i]) : c.values[heatKind];
    const peers = single ? rows.advantage.filter((a, j) => rows.group[j] === rows.group[i] && a !== null) : values;
    const scale = ramp(heatKind, peers);
    low.textContent = scale.low; high.textContent = scale.high;
    bar.style.background = `linear-gradient(90deg, ${scale.css[0]}, ${heatKind === "logprob" ? "" : "transparent, "}${scale.css[1]})`;
    text.replaceChildren(...c.ids.map((id, at) => {
      const span = make("span", "", pieces[id] ?? `[${id}]`), [tone, strength] = scale.of(values[at] ?? 0);
      span.style.background = tone + Math.round(Math.min(1, strength) * 170).toString(16).padStart(2, "0");
      span.title = `token ${at}, id ${id}` + known.map((k) => `\n${k} ${c.values[k] ? c.values[k][at] : rows.advantage[i]}`).join("");
      return span;
    }));
  };
  select.onchange = draw;
  await draw();
  place.append(tools, text);
}

// --- the page --------------------------------------------------------------------------------------------------------

function options(select, values) {
  ["", ...new Set(values)].filter((v, at) => v !== "" || at === 0).forEach((value) => {
    const option = make("option", "", value || "any");
    option.value = value;
    select.append(option);
  });
}

function connect(index) {
  let timer;
  $("filters").addEventListener("input", (event) => { clearTimeout(timer); timer = setTimeout(filter, event.target.id === "f-search" ? 250 : 60); });
  $("filters").addEventListener("reset", () => setTimeout(filter));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  COLUMNS.forEach(([key, name]) => {
    const button = make("button", "", name);
    button.dataset.key = key;
    button.onclick = () => { sorting = { key, down: sorting.key === key ? !sorting.down : ["score", "advantage", "length"].includes(key) }; sort(); };
    $("head").append(button);
  });
  $("scroll").addEventListener("scroll", paint);
  $("space").addEventListener("click", (event) => { const row = event.target.closest(".row"); if (row) choose(Number(row.dataset.index)); });
  $("list").addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[event.key];
    if (by) { event.preventDefault(); move(by); }
  });
  $("theme").onclick = () => {
    const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    drawCharts(index.panels);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts(index.panels));
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawCharts(index.panels); } });
  $("live").checked = location.hash === "#live";
  $("live").onchange = () => { location.hash = $("live").checked ? "live" : ""; };
  setInterval(() => { if ($("live").checked) location.reload(); }, 30000);
}

async function open() {
  const index = await unpack($("index").textContent);
  ({ rows, pieces, block: blockSize } = index);
  blocks = [...document.querySelectorAll("script.block")].map((node) => ({ text: node.textContent }));
  $("title").textContent = index.title;
  $("facts").textContent = index.facts.join(" · ");
  $("written").textContent = `written ${index.written}`;
  drawResults(index.table);
  drawCharts(index.panels);
  connect(index);
  $("browser").hidden = !rows.step.length;
  options($("f-stop"), rows.stop);
  options($("f-status"), rows.status);
  await filter();
  if (order.length) await choose(order[0]);
  document.documentElement.dataset.ready = Math.round(performance.now());
}
open();
