// The tables of all trials: sorted and filtered here, and the rows in them alone that are shown.
"use strict";

const number = (cell) => (Array.isArray(cell) ? cell[0] : NaN);
const shown = (cell) => (cell === null ? "\u2013" : Array.isArray(cell) ? cell[1] : cell);
const ABOVE = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
  "=": (a, b) => a === b,
  "!=": (a, b) => a !== b,
};

// Returns what tells whether a row fits, or throws what is wrong with the filter in words.
function filterOf(words, columns) {
  const tests = words
    .split(/\s+and\s+/i)
    .map((one) => one.trim().toLowerCase())
    .filter((one) => one !== "")
    .map((one) => {
      const parts = one.match(/^(.+?)\s*(<=|>=|!=|<|>|=)\s*(.+)$/);
      if (parts === null) return (row) => row.some((cell) => shown(cell).toLowerCase().includes(one));
      const [, name, sign, value] = parts;
      const known = columns.map((column) => column.toLowerCase());
      const exact = known.indexOf(name);
      const column = exact >= 0 ? exact : known.findIndex((title) => title.startsWith(name));
      if (column < 0) throw new Error(`there is no column "${name}" (there are ${columns.join(", ")})`);
      const wanted = Number(value.replace(/,/g, ""));
      return (row) => {
        const cell = row[column];
        if (cell === null) return sign === "!=";
        if (!isNaN(wanted) && Array.isArray(cell)) return ABOVE[sign](number(cell), wanted);
        return (sign === "=" || sign === "!=") && ABOVE[sign](shown(cell).toLowerCase(), value);
      };
    });
  return (row) => tests.every((test) => test(row));
}

function inOrder(rows, column, up) {
  const compare = (a, b) => {
    const [one, other] = [a[column], b[column]];
    // What is missing stands last, whichever way.
    if (one === null || other === null) return (one === null) - (other === null);
    const numbers = Array.isArray(one) && Array.isArray(other);
    const order = numbers ? number(one) - number(other) : shown(one).localeCompare(shown(other));
    return up ? order : -order;
  };
  return [...rows].sort(compare);
}

function showTrials(panel, { columns, rows }) {
  const field = (name) => panel.querySelector(`[name=${name}]`);
  const out = panel.querySelector("[data-out=count]");
  const table = panel.querySelector("table");
  // The best first: scores are larger where they are better.
  let [sorted, up] = [columns.indexOf("score"), false];
  const heads = columns.map((title, i) => {
    const head = document.createElement("th");
    head.scope = "col";
    if (!rows.some((row) => Array.isArray(row[i]))) head.className = "left";
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: title });
    button.addEventListener("click", () => {
      up = sorted === i ? !up : !rows.some((row) => Array.isArray(row[i]));
      sorted = i;
      update();
    });
    head.append(button);
    return head;
  });
  const head = document.createElement("tr");
  head.append(...heads);
  table.tHead.replaceChildren(head);

  function update() {
    let fits;
    try {
      fits = filterOf(field("filter").value, columns);
      field("filter").removeAttribute("aria-invalid");
    } catch (error) {
      field("filter").setAttribute("aria-invalid", "true");
      out.textContent = `Filter: ${error.message}.`;
      return;
    }
    heads.forEach((one, i) => {
      if (i === sorted) one.setAttribute("aria-sort", up ? "ascending" : "descending");
      else one.removeAttribute("aria-sort");
    });
    const found = inOrder(rows.filter(fits), sorted, up);
    const first = found.slice(0, Number(field("first").value) || found.length);
    table.tBodies[0].replaceChildren(
      ...first.map((row) => {
        const line = document.createElement("tr");
        line.append(
          ...row.map((cell, i) => {
            const one = Object.assign(document.createElement("td"), { textContent: shown(cell) });
            if (heads[i].className) one.className = "left";
            return one;
          }),
        );
        return line;
      }),
    );
    const fitting = found.length === rows.length ? "" : ` that fit, of ${rows.length.toLocaleString("en")}`;
    const total = found.length.toLocaleString("en");
    const of = first.length < found.length ? `the first ${first.length} of ${total} trials` : `${total} trials`;
    out.textContent = `Showing ${of}${fitting}.`;
  }
  field("filter").addEventListener("input", update);
  field("first").addEventListener("change", update);
  update();
}

function startTables(tables) {
  for (const panel of document.querySelectorAll("details.trials")) {
    const show = () => showTrials(panel, tables[panel.dataset.study]);
    // A thousand rows are made once somebody looks.
    if (panel.open) show();
    else panel.addEventListener("toggle", show, { once: true });
  }
}
