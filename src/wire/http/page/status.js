// The page of a node: asks /status.json once a second while somebody looks, and shows the answer.
//
// Every text of the answer becomes a text node; nothing is ever parsed as HTML. The key that shows details comes
// in the address behind '#', is kept for this tab only and leaves the address at once.
"use strict";

const POLL_MS = 1000;
const PATIENCE_MS = 5000;
const KEPT_SAMPLES = 300;
const KEY = "bop-key";
const NOT_THE_KEY = "That is not the key of this node.";
const SVG = "http://www.w3.org/2000/svg";

let key = null;
let samples = []; // [ms, statements, commits, errors], a second each
let newest = 0;
let started = null;
let version = null;
let lostSince = null;
let timer = null;
let asking = false;

const at = (id) => document.getElementById(id);

// ---- words

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

function count(number) {
  return whole.format(number);
}

function rate(number) {
  if (number > 0 && number < 9.95) return number.toFixed(1);
  return count(number);
}

function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 || number >= 99.5 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
}

function duration(ns) {
  if (ns === 0) return "–";
  const units = ["ns", "µs", "ms", "s"];
  let unit = 0;
  while (ns >= 1000 && unit < 3) {
    ns /= 1000;
    unit += 1;
  }
  return `${ns >= 99.5 ? Math.round(ns) : ns >= 9.95 ? ns.toFixed(1) : ns.toFixed(2)} ${units[unit]}`;
}

function seconds(number) {
  if (number < 10) return `${Math.max(number, 0).toFixed(1)} s`;
  if (number < 120) return `${Math.round(number)} s`;
  if (number < 7200) return `${Math.round(number / 60)} min`;
  if (number < 172800) return `${Math.round(number / 3600)} h`;
  return `${Math.round(number / 86400)} d`;
}

function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

// ---- elements

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function attribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function draw(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key_, value] of Object.entries(attributes)) element.setAttribute(key_, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Rows of {className, cells: [{text, className, title}]}; elements that are there are used again, so that a
// selection outlives the next answer.
function fillTable(body, names, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, i) => {
    const line = body.rows[i] || body.insertRow();
    attribute(line, "class", row.className || "");
    row.cells.forEach((cell, j) => {
      const place = line.cells[j] || line.insertCell();
      say(place, cell.text);
      attribute(place, "class", cell.className || "");
      attribute(place, "data-name", names[j]);
      if (cell.title) attribute(place, "title", cell.title);
      else place.removeAttribute("title");
    });
  });
}

function meter(element, share) {
  element.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
  element.className = share > 0.9 ? "high" : "";
}

// ---- parts

function showHealth(status) {
  const pill = at("health");
  const ok = status.health.status === "ok";
  const attention = status.attention.filter((one) => one.name !== "cannot_write");
  if (!ok) {
    attribute(pill, "class", "pill bad");
    say(pill, "cannot write");
  } else if (attention.length > 0) {
    attribute(pill, "class", "pill warn");
    say(pill, "serving, needs attention");
  } else {
    attribute(pill, "class", "pill good");
    say(pill, "healthy");
  }
  document.title = ok ? (attention.length > 0 ? "(!) BOP" : "BOP") : "(✗) BOP";
  const list = at("attention");
  list.hidden = status.attention.length === 0;
  list.replaceChildren(...status.attention.map((one) => {
    const line = make("li", one.name === "cannot_write" ? "bad" : "", one.text);
    line.dataset.name = one.name;
    return line;
  }));
  say(at("about"), `version ${status.version} · up ${seconds((status.now_ms - status.started_ms) / 1000)} · ` +
    `${location.host}`);
}

function showLost() {
  const pill = at("health");
  attribute(pill, "class", "pill bad");
  say(pill, `not reachable since ${clock(lostSince)}`);
  document.title = "(✗) BOP";
  at("main").classList.add("stale");
}

// A line over one to five minutes whose right end is now; gaps of the samples stay gaps in time.
function line(svg, name, column) {
  const last = samples.length > 0 ? samples[samples.length - 1][0] : 0;
  const top = Math.max(1, ...samples.map((one) => one[column]));
  const wide = 300 / Math.max(60, samples.length);
  const x = (ms) => 300 - ((last - ms) / POLL_MS) * wide;
  const y = (value) => 38 - (value / top) * 35;
  const points = samples.filter((one) => x(one[0]) >= 0).map((one) => `${x(one[0]).toFixed(1)} ${y(one[column]).toFixed(1)}`);
  svg.replaceChildren(draw("path", { class: "base", d: "M0 39.5 L300 39.5" }));
  if (points.length < 2) return;
  const first = points[0].split(" ")[0];
  svg.append(draw("path", { class: "fill", d: `M${first} 39 L${points.join(" L")} L300 39 Z` }),
    draw("path", { class: "stroke", d: `M${points.join(" L")}` }));
  attribute(svg, "aria-label", `${name} a second over the last ${seconds(points.length)}, at most ${rate(top)}`);
}

// Of the last five seconds, so that the number can be read.
function recent(column) {
  const few = samples.slice(-5);
  return few.length === 0 ? 0 : few.reduce((sum, one) => sum + one[column], 0) / few.length;
}

function showTiles(status) {
  const top = (column) => Math.max(0, ...samples.map((one) => one[column]));
  const span = samples.length < 120 ? `${samples.length} s` : `${Math.round(samples.length / 60)} min`;
  const times = (one) => `p50 ${duration(one.p50_ns)} · p99 ${duration(one.p99_ns)} · p99.9 ${duration(one.p999_ns)}`;
  say(at("statements-rate"), rate(recent(1)));
  say(at("commits-rate"), rate(recent(2)));
  line(at("statements-line"), "statements", 1);
  line(at("commits-line"), "commits", 2);
  const statements = status.latency.statements.last_minute;
  say(at("statements-times"), times(statements));
  say(at("commits-times"), times(status.latency.commits.last_minute));
  say(at("statements-note"), `peak ${rate(top(1))} in ${span} · errors ${rate(recent(3))} a second`);
  say(at("commits-note"), `peak ${rate(top(2))} in ${span} · rollbacks in all ${count(status.totals.rollbacks)}`);

  const states = status.sessions.states;
  const inBlock = (states["idle in transaction"] || 0) + (states["idle in transaction (aborted)"] || 0);
  // Most statements are shorter than a look: their number on average is their time in a second.
  const minute = status.latency.last_minute_seconds;
  const busy = minute > 0 ? (statements.count * statements.mean_ns) / 1e9 / minute : 0;
  say(at("sessions-count"), count(status.sessions.count));
  meter(at("sessions-meter"), status.sessions.connections / status.sessions.limit);
  attribute(at("sessions-meter").parentElement, "title",
    `${count(status.sessions.connections)} of ${count(status.sessions.limit)} connections (max_connections)`);
  say(at("sessions-busy"), `${rate(busy)} at work on average`);
  say(at("sessions-note"), `${count(states.active || 0)} now, ${count(inBlock)} idle in a transaction`);

  const memory = status.memory;
  say(at("memory-used"), bytes(memory.resident_bytes));
  meter(at("memory-meter"), memory.limit_bytes > 0 ? memory.resident_bytes / memory.limit_bytes : 0);
  const free = status.disk.free_bytes;
  say(at("memory-limit"), memory.limit_bytes > 0 ? `limit ${bytes(memory.limit_bytes)}` : "no limit");
  say(at("memory-note"), `disk: ${free === undefined ? "?" : bytes(free)} free`);
}

// Half a power of two a bar, from 1 µs to 16 s; the height is the logarithm of the count, so that single slow
// ones can be seen beside a million fast ones.
const FIRST_BIN = 20;
const LAST_BIN = 68;

function bins(buckets) {
  const out = new Array(LAST_BIN - FIRST_BIN + 1).fill(0);
  for (const [end, number] of buckets) {
    const bin = Math.floor(Math.log2(Math.max(1, end - 1)) * 2);
    out[Math.min(Math.max(bin, FIRST_BIN), LAST_BIN) - FIRST_BIN] += number;
  }
  return out;
}

// `width` in pixels, so that letters are as large as elsewhere.
function histogram(latency, name, width) {
  const height = 170, left = 8, right = 8, base = 140, topEdge = 24;
  const step = (width - left - right) / (LAST_BIN - FIRST_BIN + 1);
  const all = bins(latency.since_start.buckets);
  const now = bins(latency.last_minute.buckets);
  const most = Math.log10(1 + Math.max(1, ...all));
  const tall = (number) => (number === 0 ? 0 : Math.max(2, (Math.log10(1 + number) / most) * (base - topEdge)));
  const placeOf = (ns) => left + (Math.min(Math.max(Math.log2(ns) * 2, FIRST_BIN), LAST_BIN + 1) - FIRST_BIN) * step;
  const svg = draw("svg", { class: "histogram", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${name}: p50 ${duration(latency.last_minute.p50_ns)}, p99 ${duration(latency.last_minute.p99_ns)}` });
  all.forEach((number, i) => {
    for (const [value, kind] of [[number, "all"], [now[i], "recent"]]) {
      if (value === 0) continue;
      svg.append(draw("rect", { class: kind, x: (left + i * step + 0.5).toFixed(1), width: (step - 1).toFixed(1),
        y: (base - tall(value)).toFixed(1), height: tall(value).toFixed(1) }));
    }
  });
  svg.append(draw("line", { class: "axis", x1: left, x2: width - right, y1: base, y2: base }));
  for (const [ns, label] of [[1e3, "1 µs"], [1e4, "10 µs"], [1e5, "100 µs"], [1e6, "1 ms"], [1e7, "10 ms"], [1e8, "100 ms"],
    [1e9, "1 s"], [1e10, "10 s"]]) {
    const x = placeOf(ns).toFixed(1);
    svg.append(draw("line", { class: "axis", x1: x, x2: x, y1: base, y2: base + 4 }));
    if (width < 420 && [1e4, 1e6, 1e8, 1e10].includes(ns)) continue;
    svg.append(draw("text", { x, y: base + 17, "text-anchor": ns === 1e3 ? "start" : "middle" }, label));
  }
  let lastEnd = -1;
  for (const [ns, label] of [[latency.last_minute.p50_ns, "p50"], [latency.last_minute.p99_ns, "p99"],
    [latency.last_minute.p999_ns, "p99.9"]]) {
    if (ns === 0) continue;
    const x = placeOf(ns);
    svg.append(draw("line", { class: "mark", x1: x.toFixed(1), x2: x.toFixed(1), y1: 16, y2: base }));
    const start = Math.max(lastEnd + 6, x - 10);
    svg.append(draw("text", { class: "name", x: Math.min(start, width - 36).toFixed(1), y: 11 }, label));
    lastEnd = start + 7 * label.length;
  }
  return svg;
}

function showLatency(status, id, title, latency) {
  const figure = at(id);
  if (!figure.querySelector("table")) {
    const table = make("table");
    const head = table.createTHead().insertRow();
    for (const name of ["", "count", "mean", "p50", "p99", "p99.9"]) {
      const cell = make("th", name === "" ? "" : name === "mean" ? "number mean" : "number", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const name of ["last minute", "since the start"]) {
      const row = body.insertRow();
      const cell = make("th", "", name);
      cell.scope = "row";
      row.append(cell);
      for (let i = 0; i < 5; ++i) row.insertCell().className = i === 1 ? "number mean" : "number";
    }
    figure.append(make("figcaption", "", title), make("div", "drawing"), table);
  }
  const drawing = figure.querySelector(".drawing");
  drawing.replaceChildren(histogram(latency, title, Math.max(drawing.clientWidth, 240)));
  const rows = figure.querySelector("tbody").rows;
  [latency.last_minute, latency.since_start].forEach((one, i) => {
    [count(one.count), duration(one.mean_ns), duration(one.p50_ns), duration(one.p99_ns), duration(one.p999_ns)]
      .forEach((text, j) => say(rows[i].cells[j + 1], text));
  });
}

const WAITS = { writer_lane: "the writer lane", reader_pool: "a connection to read", WALSync: "the log" };

function showBlocking(status) {
  const section = at("blocking-section");
  section.hidden = status.blocking.length === 0;
  at("blocking").replaceChildren(...status.blocking.map((lock) => {
    const line_ = make("li");
    const who = make("p", "who");
    const holders = lock.holders.map((one) => `session ${one.pid}` +
      (one.seconds === undefined ? "" : ` for ${seconds(one.seconds)}`) + (one.idle ? ", waiting for its client" : ""));
    if (lock.lock === "writer_lane") {
      who.textContent = `Writing in ${lock.database}: held by ${holders.join(", ") || "nobody"}`;
    } else if (lock.lock === "reader_pool") {
      who.textContent = `Reading in ${lock.database}: all ${count(lock.lent)} connections are lent`;
    } else {
      who.textContent = `Advisory lock in ${lock.database}: held by ${holders.join(", ") || "nobody"}`;
    }
    const waiters = make("p", "waiters");
    for (const one of lock.waiting) {
      waiters.append(make("span", "", `${one.pid} waits` + (one.seconds === undefined ? "" : ` ${seconds(one.seconds)}`)));
    }
    const more = lock.count - lock.waiting.length;
    if (more > 0) waiters.append(make("span", "", `and ${count(more)} more`));
    line_.append(who, waiters);
    if (lock.lock !== "reader_pool" && lock.holders.length > 0) {
      const how = make("p", "note", "In SQL ");
      how.append(make("code", "", `SELECT pg_terminate_backend(${lock.holders[0].pid})`), " ends that session.");
      line_.append(how);
    }
    return line_;
  }));
}

const STATES = {
  "active": "active",
  "idle": "idle",
  "idle in transaction": "transaction",
  "idle in transaction (aborted)": "aborted",
};

function showSessions(status) {
  const names = ["pid", "database", "user", "application", "client", "state", "waits for", "for", "statement"];
  fillTable(at("sessions"), names, status.sessions.rows.map((row) => ({
    className: STATES[row.state] || "",
    cells: [
      { text: String(row.pid), className: "number" },
      { text: row.database, className: "text" },
      { text: row.user || "", className: "text detail", title: row.user },
      { text: row.application || "", className: "text detail", title: row.application },
      { text: row.client || "", className: "text detail", title: row.client },
      { text: row.state, className: "state" },
      { text: row.wait ? WAITS[row.wait] || row.wait : "", className: "wait" },
      { text: seconds(row.seconds), className: "number",
        title: row.transaction_seconds === undefined ? "" : `its transaction: ${seconds(row.transaction_seconds)}` },
      { text: row.statement || "", className: "statement detail" },
    ],
  })));
  const hidden = status.sessions.count - status.sessions.rows.length;
  say(at("sessions-more"), status.sessions.count === 0 ? "Nobody is connected."
    : hidden > 0 ? `and ${count(hidden)} more, idle for a shorter time` : "");
  at("sessions").parentElement.classList.toggle("plain", status.details !== "shown");
  at("key-form").hidden = status.details !== "key";
}

function showLog(status) {
  const log = status.log;
  const cursors = [
    ["oldest record", count(log.first), "below it trimmed"],
    ["base", count(log.base), "a start reads from here"],
    ["committed", count(log.committed), "durable, told to clients"],
    ["appended", count(log.appended), log.appended > log.committed ? `${count(log.appended - log.committed)} on their way` : "nothing on its way"],
    ["size", bytes(log.retained_bytes), `limit ${bytes(log.limit_bytes + log.retain_bytes)}`],
    ["durable write", duration(log.durable_write_p50_ns), `p99 ${duration(log.durable_write_p99_ns)}`],
  ];
  const list = at("cursors");
  if (list.children.length === 0) {
    for (const [name] of cursors) {
      const group = make("div");
      group.append(make("dt", "", name), make("dd"));
      list.append(group);
    }
  }
  cursors.forEach(([, value, note], i) => {
    const place = list.children[i].querySelector("dd");
    if (place.dataset.shown === value + note) return;
    place.dataset.shown = value + note;
    place.replaceChildren(value, make("small", "", note));
  });

  const bar = at("segments");
  const boxes = log.segments.map((one) => {
    const box = make("div", one.role);
    const share = one.used_bytes / one.bytes;
    const fill = make("i");
    fill.style.width = `${(share * 100).toFixed(1)}%`;
    box.append(fill, make("b", "", count(one.first)));
    box.title = `segment ${one.number}, from record ${count(one.first)}: ${bytes(one.used_bytes)} of ${bytes(one.bytes)}, ${one.role}`;
    return box;
  });
  if (log.older_segments > 0) {
    const box = make("div", "older");
    box.append(make("b", "", `${count(log.older_segments)} older, ${bytes(log.older_bytes)}`));
    boxes.unshift(box);
  }
  if (log.prepared_bytes > 0) {
    const box = make("div", "prepared");
    box.title = `the next segment, ${bytes(log.prepared_bytes)}`;
    boxes.push(box);
  }
  bar.replaceChildren(...boxes);
  bar.classList.toggle("many", boxes.length > 16);
  const roles = (role) => log.segments.filter((one) => one.role === role).length;
  attribute(bar, "aria-label", `${boxes.length} segments: ${roles("retained")} kept beyond what a start needs, ` +
    `${roles("needed")} needed by a start, one taking records`);
  say(at("log-note"), `A box is a segment with the number of its first record. Timeline ${log.timeline}; ` +
    `${bytes(log.unacknowledged_bytes)} not durable yet, ${count(log.writes_in_flight)} writes in flight.`);
}

function showDatabases(status) {
  const names = ["name", "size", "commits", "checkpoints", "base", "newest", "not in the file yet", "readers", "writer"];
  const number = (text) => ({ text, className: "number" });
  fillTable(at("databases"), names, status.databases.rows.map((row) => ({
    cells: [
      { text: row.name, className: "text" },
      number(bytes(row.bytes)),
      number(count(row.commits)),
      number(count(row.checkpoints)),
      number(count(row.base)),
      number(count(row.newest)),
      number(bytes(row.unchecked_bytes)),
      number(`${row.readers_lent} of ${status.databases.readers}`),
      number(row.writer_pid === undefined ? "" : `session ${row.writer_pid}`),
    ],
  })));
  const hidden = status.databases.count - status.databases.rows.length;
  say(at("databases-more"), hidden > 0 ? `and ${count(hidden)} smaller ones` : "");
}

function show(status) {
  if (version !== null && version !== status.version) {
    location.reload(); // the node was upgraded, and its page with it
    return;
  }
  version = status.version;
  if (started !== null && started !== status.started_ms) {
    samples = []; // it was started again: the next answer brings all that it has
    newest = 0;
  } else {
    samples = samples.concat(status.history.samples).slice(-KEPT_SAMPLES);
    newest = status.history.newest;
  }
  started = status.started_ms;
  at("main").classList.remove("stale");
  showHealth(status);
  showTiles(status);
  showBlocking(status);
  showLatency(status, "latency-statements", "Statements", status.latency.statements);
  showLatency(status, "latency-commits", "Commits", status.latency.commits);
  showSessions(status);
  showLog(status);
  showDatabases(status);
  say(at("asked"), `as of ${clock(status.now_ms)}`);
}

// ---- asking

async function ask() {
  const patience = new AbortController();
  const limit = setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    const headers = key === null ? {} : { Authorization: `Bearer ${key}` };
    const answer = await fetch(`/status.json?after=${newest}`, { headers, signal: patience.signal, cache: "no-store" });
    if (answer.status === 401) {
      setKey(null);
      say(at("key-note"), NOT_THE_KEY);
      return;
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const status = await answer.json();
    if (key !== null && status.details === "shown") say(at("key-note"), "");
    lostSince = null;
    show(status);
  } catch (failure) {
    if (lostSince === null) lostSince = Date.now();
    showLost();
  } finally {
    clearTimeout(limit);
  }
}

async function poll() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  const begin = performance.now();
  await ask();
  asking = false;
  if (!document.hidden) timer = setTimeout(poll, Math.max(50, POLL_MS - (performance.now() - begin)));
}

// False: it cannot be one.
function tryKey(text) {
  if (/^[A-Za-z0-9_-]+$/.test(text)) {
    setKey(text);
    return true;
  }
  say(at("key-note"), NOT_THE_KEY);
  return false;
}

function setKey(text) {
  key = text;
  try {
    if (text === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, text);
  } catch (refused) {
    // A browser that keeps nothing: the key is good until the tab is closed or loaded again.
  }
}

function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    tryKey(given);
    history.replaceState(null, "", location.pathname);
    return;
  }
  try {
    key = sessionStorage.getItem(KEY);
  } catch (refused) {
    key = null;
  }
}

takeKey();
addEventListener("hashchange", () => {
  takeKey();
  poll();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) poll();
});
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("key").value.trim();
  at("key").value = "";
  if (text !== "" && tryKey(text)) poll();
});
poll();
