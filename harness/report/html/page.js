"use strict";
// The table of tests and the panel of one test or fact, from the data that matrix.py made.
// Text goes into the page as text nodes alone, never as markup.

const WORDS = {P: "passed", F: "FAILED", E: "ERROR", S: "skipped", C: "CRASHED", T: "TIMEOUT", M: "MISSING", "-": "not planned"};
const MARKS = {P: "✓", F: "F", E: "E", S: "s", C: "C", T: "T", M: "M", "-": ""};
const BITS = {P: 1, F: 2, E: 4, S: 8, C: 16, T: 32, M: 64, "-": 0};
const FAILING = "FECTM";
const WITH_WORDS = 12;  // kernels up to which cells have words
const MOST_PRINTED = 2000;  // rows
const NARROW = 640;  // pixels below which names and cells are short
const LEAD = 8;  // rows drawn above and below what is seen

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

async function unpacked(text) {
  if (typeof DecompressionStream === "undefined") throw new Error("this browser cannot inflate data");
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function seconds(ms) {
  return ms >= 100000 ? `${Math.round(ms / 1000)} s` : `${(ms / 1000).toFixed(ms < 1000 ? 3 : 1)} s`;
}

function plural(number, what) {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}

class Run {
  constructor(data) {
    Object.assign(this, data);
    this.tests = this.ids.map((_, test) => test);
    this.ownTests = new Set(this.own);
    this.factNames = this.facts.map(([name]) => name);
    // No data without a kernel, so that what follows need not ask for it.
    this.slowest = this.tests.map((test) => Math.max(0, ...this.kernels.map((kernel) => kernel.ms[test])));
  }

  text(number) {
    return this.strings[number || 0];
  }

  searched(test) {
    this.haystack ??= new Array(this.ids.length);
    this.haystack[test] ??= [this.ids[test], this.text(this.purposes[test]),
      ...new Set(this.kernels.map((kernel) => this.text(kernel.messages[test])))].join("\n").toLowerCase();
    return this.haystack[test];
  }

  // The command that runs one test again. A test of the user's own is named by its suite's path.
  command(test, kernel) {
    const [head, suites] = kernel.again;
    if (!head) return "";
    if (!this.ownTests.has(test)) return `${head} --suite ${quoted(this.ids[test])}`;
    const name = this.ids[test].split("::").pop().split("[")[0];
    return [head, suites, "-k", quoted(name)].filter(Boolean).join(" ");
  }
}

class Matrix {
  constructor(run, holder, open) {
    this.run = run;
    this.open = open;
    this.folded = new Set();
    this.active = new Set(run.kernels.length > 1 ? ["differ", ...FAILING] : []);
    this.at = {row: 0, column: -1};
    this.height = 29;
    this.holder = holder;
    this.build();
    this.choose();
    // What no test is like has no button, and could not be taken back.
    const offered = new Set([...this.chips.querySelectorAll("button")].map((chip) => chip.dataset.name));
    this.active = new Set([...this.active].filter((name) => offered.has(name)));
    this.choose();
  }

  build() {
    const update = () => this.choose();
    this.search = make("input", {type: "search", placeholder: "id, purpose or message", oninput: update});
    this.which = make("input", {type: "search", placeholder: "part of a name", oninput: update});
    this.sort = make("select", {onchange: update},
      make("option", {value: "run"}, "by suite, as run"), make("option", {value: "slow"}, "slowest first"));
    this.chips = make("fieldset", {}, make("legend", {}, "show tests that, on some kernel,"));
    this.count = make("p", {role: "status", class: "note"});
    this.legend = make("p", {class: "note"});
    this.head = make("thead");
    this.body = make("tbody");
    this.columns = make("colgroup");
    this.table = make("table", {role: "grid", tabindex: "0", "aria-label": "tests and kernels",
      onkeydown: (event) => this.key(event), onclick: (event) => this.click(event)},
    this.columns, this.head, this.body);
    this.grid = make("div", {id: "grid", onscroll: () => this.later()}, this.table);
    const several = this.run.kernels.length > 1;
    this.holder.replaceChildren(
      make("div", {class: "controls"},
        make("label", {}, "search ( / )", this.search),
        several ? make("label", {}, "kernels", this.which) : "",
        make("label", {}, "order", this.sort), this.chips,
        make("button", {type: "button", onclick: () => this.fold(true)}, "fold all suites"),
        make("button", {type: "button", onclick: () => this.fold(false)}, "unfold all")),
      this.count, this.grid, this.legend);
    addEventListener("resize", () => { this.drawHead(); this.later(); });
    addEventListener("beforeprint", () => this.draw(0, MOST_PRINTED));
    addEventListener("afterprint", () => this.drawSeen());
  }

  fold(all) {
    this.folded = new Set(all ? this.run.suites.keys() : []);
    this.choose();
  }

  // What of the tests is shown, after any change of the controls.
  choose() {
    const run = this.run;
    const wanted = this.which.value.trim().toLowerCase();
    this.shown = [...run.kernels.keys()].filter((number) => run.kernels[number].name.toLowerCase().includes(wanted));
    const outcomes = this.shown.map((number) => run.kernels[number].outcomes);
    const masks = new Uint8Array(run.ids.length);
    const differs = new Uint8Array(run.ids.length);
    for (const letters of outcomes) {
      for (let test = 0; test < letters.length; test++) {
        masks[test] |= BITS[letters[test]];
        differs[test] |= letters[test] !== outcomes[0][test];
      }
    }
    this.drawChips(masks, differs);
    let bits = 0;
    for (const letter of this.active) bits |= BITS[letter] ?? 0;
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = run.tests.filter((test) =>
      (!this.active.size || masks[test] & bits || (this.active.has("differ") && differs[test]))
      && words.every((word) => run.searched(test).includes(word)));
    this.rows = this.sort.value === "slow"
      ? chosen.sort((a, b) => run.slowest[b] - run.slowest[a]).map((test) => ({test}))
      : this.bySuite(chosen);
    this.count.textContent = `${chosen.length.toLocaleString("en")} of ${plural(run.ids.length, "test")}`
      + (this.shown.length < run.kernels.length ? `, ${this.shown.length} of ${plural(run.kernels.length, "kernel")}` : "");
    this.at = {row: 0, column: -1};
    this.drawHead();
    this.grid.scrollTop = 0;
    this.drawSeen();
  }

  bySuite(chosen) {
    const rows = [];
    for (const suite of this.run.suites.keys()) {
      const tests = chosen.filter((test) => this.run.suite_of[test] === suite);
      if (!tests.length) continue;
      rows.push({suite, tests});
      if (!this.folded.has(suite)) rows.push(...tests.map((test) => ({test})));
    }
    return rows;
  }

  drawChips(masks, differs) {
    const counts = Object.keys(BITS).filter((letter) => BITS[letter])
      .map((letter) => [letter, WORDS[letter].toLowerCase(), masks.reduce((sum, mask) => sum + Boolean(mask & BITS[letter]), 0)]);
    if (this.shown.length > 1) counts.unshift(["differ", "differ", differs.reduce((sum, one) => sum + one, 0)]);
    const chips = counts.filter(([, , count]) => count).map(([name, word, count]) =>
      make("button", {type: "button", "data-name": name, "aria-pressed": String(this.active.has(name)), onclick: () => {
        if (!this.active.delete(name)) this.active.add(name);
        this.choose();
        this.chips.querySelector(`[data-name="${name}"]`)?.focus();
      }}, `${word} ${count.toLocaleString("en")}`));
    chips.push(make("button", {type: "button", "data-name": "all", "aria-pressed": String(!this.active.size), onclick: () => {
      this.active.clear();
      this.choose();
      this.chips.querySelector("[data-name=all]").focus();
    }}, "all"));
    this.chips.replaceChildren(this.chips.firstChild, ...chips);
  }

  drawHead() {
    this.narrow = this.grid.clientWidth < NARROW;
    this.withWords = this.shown.length <= (this.narrow ? 2 : WITH_WORDS);
    const label = Math.round(Math.min(430, this.grid.clientWidth * (this.narrow ? 0.62 : 0.5)));
    const width = this.withWords ? 66 : 24;
    const widths = [label, ...this.shown.map(() => width)];
    this.columns.replaceChildren(...widths.map((pixels) => make("col", {width: pixels})));
    this.table.style.width = `${widths.reduce((sum, pixels) => sum + pixels, 0)}px`;
    this.head.replaceChildren(make("tr", {}, make("th", {scope: "col"}, "test"),
      ...this.shown.map((number) => make("th", {scope: "col", class: "kernel", title: this.run.kernels[number].name},
        make("span", {}, this.run.kernels[number].short)))));
    this.table.setAttribute("aria-colcount", this.shown.length + 1);
    const used = Object.keys(MARKS).filter((letter) => MARKS[letter] && this.run.kernels.some((kernel) => kernel.outcomes.includes(letter)));
    this.legend.textContent = (this.withWords ? "" : `${used.map((letter) => `${MARKS[letter]} ${WORDS[letter].toLowerCase()}`).join(", ")}; empty: not planned. `)
      + "With the arrow keys go from cell to cell, Enter opens one; Enter on a suite folds it.";
  }

  later() {
    this.frame ??= requestAnimationFrame(() => { this.frame = null; this.drawSeen(); });
  }

  drawSeen() {
    const first = Math.max(0, Math.floor(this.grid.scrollTop / this.height) - LEAD);
    // The window's height, for an empty grid has none yet.
    this.draw(first, first + Math.ceil(innerHeight / this.height) + 2 * LEAD);
  }

  draw(first, end) {
    const rows = this.rows.slice(first, end);
    const gap = (count) => {
      const row = make("tr", {class: "gap", "aria-hidden": "true"}, make("td", {colspan: this.shown.length + 1}));
      row.firstChild.style.height = `${count * this.height}px`;
      return row;
    };
    const left = Math.max(0, this.rows.length - end);
    const drawn = rows.map((row, place) => this.drawRow(row, first + place));
    if (!this.rows.length) {
      drawn.push(make("tr", {}, make("td", {class: "empty", colspan: this.shown.length + 1}, "No test is like that.")));
    }
    this.body.replaceChildren(gap(first), ...drawn, gap(left));
    this.table.setAttribute("aria-rowcount", this.rows.length + 1);
    const measured = drawn[0]?.getBoundingClientRect().height;
    if (this.rows.length && measured && Math.abs(measured - this.height) > 0.5) {
      this.height = measured;
      this.draw(first, end);
      return;
    }
    const active = this.body.querySelector(".at");
    if (active) this.table.setAttribute("aria-activedescendant", active.id);
    else this.table.removeAttribute("aria-activedescendant");
  }

  drawRow(row, number) {
    const {run} = this;
    const at = (column) => number === this.at.row && column === this.at.column;
    const place = (column) => ({id: `c${number}_${column + 1}`});
    const marked = (column, name) => ({class: at(column) ? `${name} at` : name, ...place(column)});
    if (row.suite !== undefined) {
      const folded = this.folded.has(row.suite);
      return make("tr", {class: "row suite", "data-row": number, "aria-rowindex": number + 2, "aria-expanded": String(!folded)},
        make("th", {scope: "row", ...marked(-1, "")}, `${folded ? "▸" : "▾"} ${run.suites[row.suite]} (${row.tests.length})`),
        ...this.shown.map((kernel, column) => this.suiteCell(row.tests, run.kernels[kernel], marked, column)));
    }
    return make("tr", {class: "row", "data-row": number, "aria-rowindex": number + 2},
      make("th", {scope: "row", title: run.ids[row.test], ...marked(-1, "")}, this.named(row.test)),
      ...this.shown.map((kernel, column) => {
        const letter = run.kernels[kernel].outcomes[row.test];
        const message = run.text(run.kernels[kernel].messages[row.test]);
        return make("td", {title: `${run.kernels[kernel].name}: ${WORDS[letter].toLowerCase()}${message && `: ${message.slice(0, 200)}`}`,
          ...marked(column, letter)}, this.withWords && letter !== "-" ? WORDS[letter] : MARKS[letter]);
      }));
  }

  named(test) {
    const id = this.run.ids[test];
    const name = this.narrow ? id.split("::").pop() : this.sort.value === "slow" ? id : id.slice(id.indexOf("/") + 1);
    return this.sort.value === "slow" ? `${seconds(this.run.slowest[test])}  ${name}` : name;
  }

  suiteCell(tests, kernel, marked, column) {
    const failing = tests.filter((test) => FAILING.includes(kernel.outcomes[test])).length;
    const passed = tests.filter((test) => kernel.outcomes[test] === "P").length;
    const title = `${kernel.name}: of ${plural(tests.length, "test")} shown ${passed} passed, ${failing} did not, the others were skipped or not planned`;
    if (!failing) return make("td", {title, ...marked(column, "")}, this.withWords ? `${passed} ok` : "");
    return make("td", {title, ...marked(column, "F")}, this.withWords ? `${failing} bad` : String(failing));
  }

  click(event) {
    const cell = event.target.closest("tbody th, tbody td");
    const row = cell?.parentElement.dataset.row;
    if (row === undefined) return;
    this.at = {row: Number(row), column: cell.cellIndex - 1};
    this.enter();
  }

  enter() {
    const row = this.rows[this.at.row];
    if (!row) return;
    if (row.suite === undefined) {
      this.drawSeen();
      this.open(row.test, this.shown[this.at.column]);
      return;
    }
    if (!this.folded.delete(row.suite)) this.folded.add(row.suite);
    const {at} = this;
    const top = this.grid.scrollTop;
    this.choose();
    this.at = at;
    this.grid.scrollTop = top;
    this.drawSeen();
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.grid.clientHeight / this.height) - 4);
    const steps = {ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [page, 0],
      PageUp: [-page, 0], Home: [event.ctrlKey ? -Infinity : 0, -Infinity], End: [event.ctrlKey ? Infinity : 0, Infinity]};
    if (event.key === "Enter" || event.key === " ") this.enter();
    else if (!(event.key in steps)) return;
    else this.go(...steps[event.key]);
    event.preventDefault();
  }

  go(rows, columns) {
    const within = (value, least, most) => Math.min(Math.max(value, least), most);
    this.at = {row: within(this.at.row + rows, 0, this.rows.length - 1), column: within(this.at.column + columns, -1, this.shown.length - 1)};
    const top = this.at.row * this.height;
    const room = this.grid.clientHeight - this.head.offsetHeight - this.height;
    this.grid.scrollTop = within(this.grid.scrollTop, top - room, top);
    this.drawSeen();
    const cell = this.body.querySelector(".at");
    const label = this.columns.firstChild.width - 0;
    if (cell && this.at.column >= 0) {
      const left = cell.offsetLeft - label;
      this.grid.scrollLeft = within(this.grid.scrollLeft, left + cell.offsetWidth - (this.grid.clientWidth - label), left);
    }
  }

  // The test that stands so many tests away from another one in the table.
  neighbour(test, step) {
    const tests = this.rows.filter((row) => row.suite === undefined).map((row) => row.test);
    const place = tests.indexOf(test);
    return place < 0 ? undefined : tests[place + step];
  }
}

class Panel {
  constructor(run, dialog) {
    this.run = run;
    this.dialog = dialog;
    dialog.addEventListener("close", () => history.replaceState(null, "", location.href.split("#")[0]));
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (step && !event.target.closest("select, pre, input")) this.go(step);
    });
  }

  show(...content) {
    const button = (word, action, label) => make("button", {type: "button", "aria-label": label, onclick: action}, word);
    const steps = this.test === undefined ? [] : [button("← previous", () => this.go(-1)), button("next →", () => this.go(1))];
    this.dialog.replaceChildren(make("div", {class: "top"}, ...steps, button("close ✕", () => this.dialog.close(), "close")), ...content);
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
  }

  go(step) {
    const next = this.matrix.neighbour(this.test, step);
    if (next !== undefined) this.open(next, this.kernel);
  }

  open(test, kernel) {
    const named = kernel === undefined ? "" : `&kernel=${kernel}`;
    history.replaceState(null, "", `#test=${encodeURIComponent(this.run.ids[test])}${named}`);
    this.showTest(test, kernel);
  }

  // What the address names; false if it names neither a test nor a fact of this run.
  fromAddress() {
    const named = /^#(test|fact)=([^&]*)(?:&kernel=(\d+))?$/.exec(location.hash);
    if (!named) return false;
    let name;
    try { name = decodeURIComponent(named[2]); } catch { return false; }
    const number = (named[1] === "test" ? this.run.ids : this.run.factNames).indexOf(name);
    if (number < 0) return false;
    if (named[1] === "fact") this.showFact(number);
    else this.showTest(number, this.run.kernels[named[3]] && Number(named[3]));
    return true;
  }

  // Kernels by what is equal for them, those with the chosen one first.
  groups(key, chosen) {
    const found = new Map();
    for (const number of this.run.kernels.keys()) {
      const of = key(this.run.kernels[number]);
      if (of === null) continue;
      if (!found.has(of)) found.set(of, []);
      found.get(of).push(number);
    }
    return [...found.values()].sort((a, b) => b.includes(chosen) - a.includes(chosen));
  }

  names(numbers) {
    if (numbers.length === this.run.kernels.length && numbers.length > 2) return `all ${numbers.length} kernels`;
    return numbers.map((number) => this.run.kernels[number].name).join(", ");
  }

  showTest(test, kernel) {
    const {run} = this;
    this.test = test;
    this.kernel = kernel;
    const rank = (numbers) => (numbers.includes(kernel) ? 2 : 0) + FAILING.includes(run.kernels[numbers[0]].outcomes[test]);
    const groups = this.groups((one) => ["outcomes", "messages", "details", "remarks"].map((field) => one[field][test] ?? 0).join("\n"), kernel)
      .sort((a, b) => rank(b) - rank(a));
    const recorded = run.factNames.flatMap((name, number) =>
      run.kernels.some((one) => one.facts[number] && run.text(one.facts[number][3]) === run.ids[test])
        ? [make("li", {}, make("a", {href: `#fact=${encodeURIComponent(name)}`}, name))] : []);
    this.show(
      make("h2", {id: "panel-h"}, run.ids[test]),
      make("p", {class: "said"}, run.text(run.purposes[test]) || "Nothing says what it is for."),
      ...groups.map((numbers) => this.group(test, numbers, kernel)),
      make("h3", {}, "Run it again"), this.commands(test, kernel ?? groups[0]?.[0]),
      ...(recorded.length ? [make("h3", {}, "Facts that it recorded"), make("ul", {}, ...recorded)] : []),
      ...this.transcripts(test));
  }

  group(test, numbers, kernel) {
    const {run} = this;
    const one = run.kernels[numbers[0]];
    const letter = one.outcomes[test];
    const times = numbers.map((number) => run.kernels[number].ms[test]);
    const [least, most] = [Math.min(...times), Math.max(...times)];
    const took = letter === "-" || letter === "M" ? "" : least === most ? `, ${seconds(most)}` : `, ${seconds(least)} to ${seconds(most)}`;
    const part = (field, tag, name) => one[field][test] ? make(tag, {class: name, ...(tag === "pre" ? {tabindex: "0"} : {})}, run.text(one[field][test])) : "";
    return make("section", {},
      make("h3", {class: letter}, `${WORDS[letter]} on ${this.names(numbers)}${took}`),
      part("messages", "p", "said mono"), part("remarks", "p", "said"), part("details", "pre", ""),
      ...this.consoles(test, numbers, kernel));
  }

  consoles(test, numbers, kernel) {
    const {run} = this;
    const letter = run.kernels[numbers[0]].outcomes[test];
    if (letter === "-" || letter === "M") return [];
    const logs = numbers.filter((number) => run.kernels[number].consoles);
    const told = logs.filter((number) => run.kernels[number].consoles[test]);
    if (!logs.length) return [make("p", {class: "note"}, "The console is not told here: no console.log lay beside results.json.")];
    if (!told.length) return [make("p", {class: "note"}, "On the console nothing came between its markers.")];
    return told.map((number) => make("details", number === kernel || told.length === 1 ? {open: ""} : {},
      make("summary", {}, `console of ${run.kernels[number].name}, from this test's marker to the next one`),
      make("pre", {tabindex: "0"}, run.text(run.kernels[number].consoles[test]))));
  }

  commands(test, kernel) {
    const {run} = this;
    const told = make("code", {});
    const tell = (number) => { told.textContent = run.kernels[number] ? run.command(test, run.kernels[number]) || "The run did not record its command." : ""; };
    const which = make("select", {"aria-label": "kernel", onchange: () => tell(Number(which.value))},
      ...run.kernels.map((one, number) => make("option", {value: number, selected: number === kernel ? "" : undefined}, one.name)));
    tell(kernel);
    const copy = make("button", {type: "button", onclick: async () => {
      try {
        await navigator.clipboard.writeText(told.textContent);
        copy.textContent = "copied";
      } catch { getSelection().selectAllChildren(told); }
    }}, "copy");
    return make("div", {}, which, make("div", {class: "copy"}, told, copy));
  }

  transcripts(test) {
    const {run} = this;
    const plays = run.plays[test] ?? [];
    if (!plays.length) return [];
    const answers = (sequence) => this.groups((one) => one.answers[sequence] || null);
    const table = (sequences) => make("table", {class: "answers"},
      make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "calls"), make("th", {scope: "col"}, "answers"), make("th", {scope: "col"}, "by"))),
      ...sequences.map((sequence) => {
        const groups = answers(sequence);
        return make("tbody", {}, ...groups.map((numbers, place) => make("tr", {},
          place ? "" : make("th", {scope: "rowgroup", rowspan: groups.length, class: "mono"}, run.text(run.sequences[sequence])),
          make("td", {class: "mono"}, run.text(run.kernels[numbers[0]].answers[sequence])),
          make("td", {}, this.names(numbers)))));
      }));
    const [unlike, alike] = [[], []];
    for (const sequence of plays) (answers(sequence).length > 1 ? unlike : alike).push(sequence);
    const rest = make("details", {ontoggle: () => { if (rest.childElementCount === 1) rest.append(table(alike)); }},
      make("summary", {}, `${plural(alike.length, "sequence")} of calls that all kernels which played them answered alike`));
    return [make("h3", {}, "Transcripts"),
      unlike.length ? make("p", {}, `${plural(unlike.length, "sequence")} of calls answered differently:`) : "",
      unlike.length ? table(unlike) : "", alike.length ? rest : ""].filter(Boolean);
  }

  showFact(number) {
    const {run} = this;
    this.test = undefined;
    const [name, about] = run.facts[number];
    const groups = this.groups((kernel) => kernel.facts[number] && kernel.facts[number].slice(0, 2).join("\n"));
    const evidence = (kernel) => make("li", {}, make("b", {}, kernel.name), ": ", run.text(kernel.facts[number][2]) || "nothing more was recorded", " ",
      run.text(kernel.facts[number][3]) ? make("a", {href: `#test=${encodeURIComponent(run.text(kernel.facts[number][3]))}`}, "its test") : "");
    this.show(
      make("h2", {id: "panel-h"}, name), make("p", {}, run.text(about)),
      ...groups.map((numbers) => {
        const [state, meaning] = run.kernels[numbers[0]].facts[number];
        return make("section", {}, make("h3", {}, `${run.text(state)} on ${this.names(numbers)}`), make("p", {}, run.text(meaning)),
          make("ul", {class: "lines"}, ...numbers.map((kernel) => evidence(run.kernels[kernel]))));
      }));
  }
}

async function begin() {
  const holder = document.getElementById("matrix");
  let run;
  try {
    run = new Run(await unpacked(document.getElementById("data").textContent));
  } catch (error) {
    holder.replaceChildren(make("p", {class: "doubt"}, `The table of tests cannot be shown: ${error.message}.`));
    return;
  }
  const panel = new Panel(run, document.getElementById("panel"));
  panel.matrix = new Matrix(run, holder, (test, kernel) => panel.open(test, kernel));
  const follow = () => {
    if (panel.fromAddress()) return;
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, select, dialog")) return;
    event.preventDefault();
    panel.matrix.search.focus();
  });
  follow();
  document.documentElement.dataset.ready = "";
}

begin();
