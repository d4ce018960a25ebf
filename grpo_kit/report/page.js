"use strict";

// --- above the charts ------------------------------------------------------------------------------------------------

function drawHead(head) {
  $("facts").textContent = visible(head.facts.join(" · "));
  $("tiles").replaceChildren(...head.tiles.map((tile) => {
    const node = make("div", "tile");
    node.append(make("p", "label", visible(tile.label)), make("p", "value", visible(tile.value)), make("p", "faint", visible(tile.detail)));
    return node;
  }));
  if (head.watch) drawWatch(head.watch);
  const about = $("about");
  (head.notes ?? []).forEach((note) => about.append(make("p", "note", visible(note))));
  if (head.recipe) {
    const box = folding(head.recipe.name ? `Recipe: ${head.recipe.name}` : "Recipe");
    if (head.recipe.command) box.append(make("div", "text", visible(head.recipe.command)));
    box.append(make("div", "text long", visible(head.recipe.text)));
    about.append(box);
  }
  if (head.environment?.length) {
    const box = folding("Versions and environment"), list = make("dl");
    head.environment.forEach(([name, value]) => list.append(make("dt", "", visible(name)), make("dd", "", visible(value))));
    box.append(list);
    about.append(box);
  }
  if (head.idle?.length) $("idle").textContent = `Left out, since they never moved: ${visible(head.idle.join(", "))}.`;
}

function folding(title) {
  const box = make("details");
  box.append(make("summary", "", visible(title)));
  return box;
}

function drawWatch(watch) {
  const place = $("watch");
  place.hidden = false;
  place.className = `watch ${watch.state}`;
  place.append(make("h3", "", `Watch: ${visible(watch.title)}`));
  const list = make("ul");
  watch.lines.forEach((line) => {
    const item = make("li", line.severity, visible(line.text));
    item.append(" ", make("span", "faint", `(${line.when})`));
    list.append(item);
  });
  if (watch.lines.length) place.append(list);
}

// --- tables of evaluations -------------------------------------------------------------------------------------------

function drawTables(tables) {
  for (const table of tables) {
    const box = table.folded ? folding(`${table.title} (${table.rows.length})`) : make("div");
    if (!table.folded) box.append(make("h2", "", visible(table.title)));
    const node = make("table"), head = make("tr");
    [...table.header, ...(table.intervals ? ["95 % interval"] : [])].forEach((name) => head.append(make("th", "", visible(name))));
    node.append(head);
    table.rows.forEach((cells, i) => node.append(tableRow(table, cells, i)));
    const scroll = make("div", "results scroll-x");
    scroll.append(node);
    if (table.rows.length) box.append(scroll);
    table.notes.forEach((note) => box.append(make("p", "faint", visible(note))));
    $("results").append(box);
  }
}

function tableRow(table, cells, i) {
  const row = make("tr");
  cells.forEach((text) => row.append(make("td", { "wrong → right": "right", "right → wrong": "wrong" }[text] ?? "", visible(text))));
  if (table.intervals) {
    const last = make("td");
    last.append(interval(table.intervals[i]));
    row.append(last);
  }
  if (table.tasks) {
    row.className = "link";
    row.title = "show its completions";
    row.onclick = () => {
      $("filters").reset();
      $("f-task").value = `${table.tasks[i]} ${cells[0]}`;
      filter().then(() => { if (order.length) choose(order[0]); $("browser").scrollIntoView(); });
    };
  }
  return row;
}

function interval(found) {
  const bar = make("div", "interval");
  if (!isNumber(found.low) || !isNumber(found.high) || !isNumber(found.value)) return bar;
  const range = make("i"), mark = make("b");
  Object.assign(range.style, { left: `${100 * found.low}%`, width: `${100 * (found.high - found.low)}%` });
  mark.style.left = `calc(${100 * found.value}% - 1px)`;
  bar.append(range, mark);
  return bar;
}

// --- the page --------------------------------------------------------------------------------------------------------

function options(select, values, any = "any") {
  if (any) select.append(option("", any));
  [...new Set(values)].filter((v) => v !== "").forEach((value) => select.append(option(value, visible(value))));
}

function option(value, text) {
  const node = make("option", "", text);
  node.value = value;
  return node;
}

function connectList() {
  let timer;
  $("filters").addEventListener("input", (event) => { clearTimeout(timer); timer = setTimeout(filter, event.target.id === "f-search" ? 250 : 60); });
  $("filters").addEventListener("reset", () => setTimeout(filter));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("scroll").addEventListener("scroll", paint);
  $("space").addEventListener("click", (event) => { const row = event.target.closest(".row"); if (row) choose(Number(row.dataset.index)); });
  $("list").addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[event.key];
    if (by) { event.preventDefault(); move(by); }
  });
}

function connectPage(index) {
  $("theme").onclick = () => {
    const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    drawCharts(index.panels);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts(index.panels));
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    drawCharts(index.panels);
    chooseColumns();
    paint();
  });
  $("live").checked = location.hash === "#live";
  $("live").onchange = () => { location.hash = $("live").checked ? "live" : ""; };
  setInterval(() => { if ($("live").checked) location.reload(); }, 30000);
}

async function openList() {
  $("browser").hidden = !rows.step.length;
  if (!rows.step.length) return;
  if (rows.step[0] === null) $("score-name").textContent = "score";
  options($("f-order"), Object.keys(ORDERS), null);
  $("f-order").append(option("", "by a column"));
  options($("f-right"), ["right", "wrong", "none"]);
  for (const key of ["stop", "status", "checkpoint"]) options($(`f-${key}`), rows[key]);
  document.querySelectorAll("#filters [data-key]").forEach((label) => { label.hidden = new Set(rows[label.dataset.key]).size < 2; });
  chooseColumns();
  connectList();
  await filter();
  if (order.length) await choose(order[0]);
}

async function open() {
  const index = await unpack($("index").textContent);
  ({ rows, pieces, block: blockSize } = index);
  blocks = [...document.querySelectorAll("script.block")].map((node) => ({ text: node.textContent }));
  $("title").textContent = $("title").title = visible(index.title);
  $("written").textContent = `written ${index.written}`;
  drawHead(index.head);
  drawTables(index.tables);
  drawCharts(index.panels);
  connectPage(index);
  await openList();
  document.documentElement.dataset.ready = Math.round(performance.now());
}
open();
