"use strict";

// key, title, width; a column whose cells are all alike is not shown.
const COLUMNS = [["checkpoint", "checkpoint", "minmax(104px, 1.5fr)"], ["step", "step", "44px"], ["task", "task", "minmax(60px, 1fr)"],
  ["prompt", "prompt", "minmax(80px, 3fr)"], ["sample", "sample", "52px"], ["score", "reward", "56px"], ["right", "judge", "50px"],
  ["advantage", "advantage", "66px"], ["length", "length", "52px"], ["turns", "turns", "46px"], ["stop", "stop", "48px"], ["ending", "ended", "62px"], ["why", "why look", "minmax(80px, 3fr)"]];
const ALWAYS = ["prompt", "score"], ON_A_PHONE = ["prompt", "score", "right", "why"];
const ORDERS = {
  "suspicious first": (a, b) => rows.suspicion[b] - rows.suspicion[a] || rows.step[b] - rows.step[a],
  "as logged": () => 0,
  "highest reward": (a, b) => above(rows.score[b], rows.score[a]),
  "lowest reward": (a, b) => above(rows.score[a], rows.score[b]),
  "longest": (a, b) => rows.length[b] - rows.length[a],
  "most repeated": (a, b) => rows.copies[b] - rows.copies[a] || rows.repetition[b] - rows.repetition[a],
};
const HEIGHT = 26, MOST_TEXT = 200000, MOST_TOKENS = 20000;
let rows, pieces, blockSize, blocks, columns = [], order = [], chosen = null, sorting = null, searched = null;

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// Control characters and those that turn the writing direction are shown by name: a text should look like what it is.
const visible = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
  .replace(/[\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

function textBox(text) {
  const box = make("div", "text", visible(text.slice(0, MOST_TEXT)) || "(empty)");
  if (text.length > MOST_TEXT) {
    const more = make("button", "", `show all ${text.length.toLocaleString("en")} characters`);
    more.onclick = () => { box.textContent = visible(text); };
    box.append(make("br"), more);
  }
  return box;
}

// --- cells -----------------------------------------------------------------------------------------------------------

const isNumber = (v) => typeof v === "number";
const above = (x, y) => (isNumber(x) ? x : -Infinity) > (isNumber(y) ? y : -Infinity) ? 1 : isNumber(x) === isNumber(y) && x === y ? 0 : -1;
const verdict = (i) => rows.status[i] !== "ok" || rows.right[i] === null ? "unjudged" : rows.right[i] ? "right" : "wrong";
const cell = (key, i) => {
  const value = rows[key][i];
  if (key === "score" && rows.status[i] !== "ok") return rows.status[i];
  if (key === "right") return value === null ? "none" : value ? "right" : "wrong";
  if (key === "sample" && value === -1) return "greedy";
  if (value === null || value === "") return "-";
  return isNumber(value) && !Number.isInteger(value) ? value.toFixed(2) : visible(String(value));
};

function chooseColumns() {
  const narrow = innerWidth < 700;
  columns = COLUMNS.filter(([key]) => (!narrow || ON_A_PHONE.includes(key)) && (ALWAYS.includes(key) || new Set(rows[key]).size > 1));
  $("list").style.setProperty("--columns", columns.map(([, , width]) => width).join(" "));
  $("head").replaceChildren(...columns.map(([key, name]) => {
    const button = make("button", "", key === "score" ? $("score-name").textContent : name);
    button.dataset.key = key;
    button.onclick = () => {
      sorting = { key, down: sorting?.key === key ? !sorting.down : ["score", "advantage", "length"].includes(key) };
      $("f-order").value = "";
      sort();
    };
    return button;
  }));
}

async function content(i) {
  const number = Math.floor(i / blockSize);
  blocks[number].read ??= unpack(blocks[number].text);
  return (await blocks[number].read)[i % blockSize];
}

// --- which, and in what order ----------------------------------------------------------------------------------------

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
      const said = c.said.map(([, text]) => text).join("\n");
      if (`${c.prompt}\n${c.response}\n${c.answer}\n${said}`.toLowerCase().includes(words)) hits.add(start + at);
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
  const task = $("f-task").value.trim().toLowerCase(), picked = ["stop", "status", "checkpoint"].map((key) => [key, $(`f-${key}`).value]).filter(([, v]) => v);
  const right = $("f-right").value;
  order = [];
  for (let i = 0; i < rows.step.length; i++) {
    if ((rows.step[i] === null || number.step(rows.step[i])) && number.score(rows.score[i])
      && (rows.advantage[i] === null ? !$("f-advantage").value.trim() : number.advantage(rows.advantage[i]))
      && picked.every(([key, value]) => rows[key][i] === value) && (!right || cell("right", i) === right)
      && (!task || `${rows.task[i]} ${rows.problem[i]}`.toLowerCase().includes(task)) && (!searched || searched.hits.has(i))) order.push(i);
  }
  sort();
}

function sort() {
  if ($("f-order").value) sorting = null;
  if (sorting) {
    const { key, down } = sorting, values = rows[key], sign = down ? -1 : 1;
    order.sort((a, b) => {
      const x = values[a], y = values[b];
      if (x === y) return a - b;
      if (x === null) return 1;
      if (y === null) return -1;
      return sign * (x < y ? -1 : 1);
    });
  } else {
    const compare = ORDERS[$("f-order").value] ?? ORDERS["suspicious first"];
    order.sort((a, b) => compare(a, b) || a - b);
  }
  $("count").textContent = `${order.length.toLocaleString("en")} of ${rows.step.length.toLocaleString("en")}`;
  $("head").querySelectorAll("button").forEach((b) => {
    if (b.dataset.key === sorting?.key) b.setAttribute("aria-sort", sorting.down ? "descending" : "ascending"); else b.removeAttribute("aria-sort");
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
    columns.forEach(([key]) => {
      const text = make("span", key === "score" || key === "right" ? verdict(i) : "", key === "why" ? rows.why[i] : cell(key, i));
      text.dataset.key = key;
      row.append(text);
    });
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
  const fact = (name, value, className) => facts.append(make("dt", "", visible(name)), make("dd", className, visible(value)));
  fact("problem", [rows.checkpoint[i], rows.step[i] === null ? "" : `step ${rows.step[i]}`, rows.task[i], rows.problem[i], `sample ${cell("sample", i)}`].filter(Boolean).join(", "));
  if (rows.why[i]) fact("why look", rows.why[i]);
  fact("judge", cell("right", i), verdict(i));
  fact($("score-name").textContent, cell("score", i));
  if (rows.advantage[i] !== null) fact("advantage", String(rows.advantage[i]));
  fact("gold", c.answer);
  for (const [name, s] of Object.entries(c.scores)) {
    const value = s.status === "ok" ? String(s.value) : s.status;
    fact(name, [value, s.extracted === null ? "no answer extracted" : `extracted: ${s.extracted}`, s.reason].filter(Boolean).join(" · "));
  }
  if (c.ended) fact("episode", c.ended);
  fact("end", `${cell("stop", i)}, ${rows.length[i].toLocaleString("en")} ${c.ids.length ? "tokens" : "characters"}`);
  const completion = make("div");
  await drawCompletion(completion, i, c);
  const group = make("div", "group");
  const asked = c.said.length ? [make("h3", "", "Conversation"), conversation(c), make("h3", "", "Tokens")]
    : [make("h3", "", "Prompt"), textBox(c.prompt), make("h3", "", "Completion")];
  place.replaceChildren(...asked, completion, facts, make("h3", "", "Group"), group);
  await drawGroup(group, i);
}

// Turn by turn: what the policy sampled, and what was put before it.
function conversation(c) {
  const place = make("div");
  c.said.forEach(([title, text, sampled]) => {
    const said = make("div", sampled ? "said sampled" : "said inserted");
    said.append(make("h4", "", visible(title)), textBox(text));
    place.append(said);
  });
  return place;
}

async function drawGroup(place, i) {
  const members = [];
  for (let j = 0; j < rows.group.length; j++) if (rows.group[j] === rows.group[i]) members.push(j);
  const cards = await Promise.all(members.map(async (j) => {
    const c = await content(j), good = isNumber(rows.advantage[j]) ? rows.advantage[j] > 0 : rows.right[j];
    const card = make("div", `card ${rows.status[j] !== "ok" ? "" : good ? "good" : "poor"} ${j === i ? "chosen" : ""}`);
    const advantage = isNumber(rows.advantage[j]) ? `, advantage ${rows.advantage[j] > 0 ? "+" : ""}${rows.advantage[j].toFixed(2)}` : "";
    const whose = rows.checkpoint[j] ? `${rows.checkpoint[j]}, ` : "";
    card.append(make("h3", verdict(j), visible(`${whose}${cell("sample", j)}: ${cell("right", j)}, ${cell("score", j)}${advantage}`)), textBox(c.response));
    const answer = Object.values(c.scores).map((s) => s.extracted).find((e) => e !== null);
    card.append(make("p", "faint", visible(`${answer === undefined ? "no answer" : `answer ${answer}`}, ${cell("stop", j)}, ${rows.length[j]}`)));
    card.onclick = () => choose(j);
    return card;
  }));
  place.replaceChildren(...cards);
}

// Diverging for signed values around `middle`, from clear to strong for log-probabilities.
function ramp(kind, values) {
  if (kind === "logprob") return { low: "likely", high: "surprising", css: ["transparent", "#d9480f"], of: (v) => ["#d9480f", Math.sqrt(Math.min(1, Math.max(0, -v) / 5))] };
  const middle = kind === "ratio" ? 1 : 0;
  const reach = Math.max(1e-6, ...values.filter(isNumber).map((v) => Math.abs(v - middle)));
  return { low: (middle - reach).toPrecision(3), high: (middle + reach).toPrecision(3), css: ["#b3362c", "#1b7f4b"],
    of: (v) => [v < middle ? "#b3362c" : "#1b7f4b", Math.abs(v - middle) / reach] };
}

async function drawCompletion(place, i, c) {
  const known = Object.keys(c.values);
  // One advantage for the whole completion is the same for each of its tokens, relative to its group.
  if (isNumber(rows.advantage[i]) && !known.includes("advantage")) known.push("advantage");
  if (!c.ids.length || !known.length || c.ids.length > MOST_TOKENS) { place.append(textBox(c.response)); return; }
  const tools = make("div", "heat-tools"), select = make("select"), text = make("div", "text heat");
  select.id = "heat";
  ["plain text", ...known].forEach((name) => { const o = make("option", "", name); o.value = name; select.append(o); });
  select.value = known.includes(heatKind) || heatKind === "plain text" ? heatKind : known[0];
  const low = make("span"), bar = make("span", "ramp"), high = make("span");
  tools.append("color tokens by", select, low, bar, high);
  const draw = async () => {
    heatKind = select.value;
    const plainText = heatKind === "plain text";
    [low, bar, high].forEach((n) => { n.hidden = plainText; });
    if (plainText) { text.replaceChildren(...textBox(c.response).childNodes); return; }
    const single = heatKind === "advantage" && !c.values.advantage;
    const values = single ? c.ids.map(() => rows.advantage[i]) : c.values[heatKind];
    const peers = single ? rows.advantage.filter((a, j) => rows.group[j] === rows.group[i]) : values;
    const scale = ramp(heatKind, peers);
    low.textContent = scale.low; high.textContent = scale.high;
    bar.style.background = `linear-gradient(90deg, ${scale.css[0]}, ${heatKind === "logprob" ? "" : "transparent, "}${scale.css[1]})`;
    const before = new Map(c.inserted);
    text.replaceChildren(...c.ids.flatMap((id, at) => {
      const added = (before.get(at) ?? []).map((other) => {
        const span = make("span", "inserted", visible(pieces[other] ?? `[${other}]`));
        span.title = `inserted, id ${other}`;
        return span;
      });
      const value = isNumber(values[at]) ? values[at] : 0;
      const span = make("span", "", visible(pieces[id] ?? `[${id}]`)), [tone, strength] = scale.of(value);
      span.style.background = tone + Math.round(Math.min(1, strength) * 170).toString(16).padStart(2, "0");
      span.title = `token ${at}, id ${id}` + known.map((k) => `\n${k} ${c.values[k] ? c.values[k][at] : rows.advantage[i]}`).join("");
      return [...added, span];
    }));
  };
  select.onchange = draw;
  await draw();
  place.append(tools, text);
}
