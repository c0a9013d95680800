// Draws the embedded figures, sorts tables, answers "what would another penalty have picked".
"use strict";

let DATA;
const CONFIG = { displayModeBar: false, responsive: true };
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const text = (tag, words) => Object.assign(document.createElement(tag), { textContent: words });

// --- what is packed into the page --------------------------------------------------------------------------

async function unpacked(id) {
  const letters = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function start() {
  DATA = JSON.parse(await unpacked("data"));
  panels.forEach((panel) => answer(panel));
  startTables(DATA.trials);
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly");
  document.head.append(script);
  figures.forEach((element) => seen.observe(element));
}

// --- figures -----------------------------------------------------------------------------------------------

function layoutOf(figure, printing, narrow) {
  const style = getComputedStyle(document.documentElement);
  const ink = printing ? "#1b1f24" : style.getPropertyValue("--ink").trim();
  const paper = printing ? "#ffffff" : style.getPropertyValue("--card").trim();
  const layout = structuredClone(figure.layout);
  // A page of paper has one width, and figures two: see .slices in the style sheet.
  if (printing) layout.width = narrow ? 320 : 660;
  layout.template = structuredClone(DATA.template);
  layout.template.layout.font.color = ink;
  layout.template.layout.hoverlabel = { ...layout.template.layout.hoverlabel, bgcolor: paper, font: { color: ink, size: 12 } };
  return layout;
}

function draw(element, printing = false) {
  const figure = DATA.figures[element.dataset.figure];
  // Its legend has a line for each kind of trial, which on a phone stand below each other.
  const taller = element.id.endsWith("-gap") && !printing && element.clientWidth < 420 ? 140 : 0;
  const height = (figure.layout.height ?? 400) + taller;
  element.style.height = `${height}px`;
  const traces = structuredClone(figure.data);
  for (const trace of traces) if (trace.texts) trace.text = trace.texts.map((place) => DATA.texts[place]);
  const layout = layoutOf(figure, printing, element.closest(".slices") !== null);
  if (printing && usesWebGL(element)) return Plotly.react(element, ...asLines(traces[0], layout), CONFIG);
  return Plotly.react(element, traces, { ...layout, height }, CONFIG);
}

// Parallel coordinates are drawn by WebGL, which paper shows nothing of: there they are lines of an ordinary figure.
function asLines({ dimensions, line }, layout) {
  const n = dimensions[0].values.length;
  const ends = dimensions.map(({ values, range }) => range ?? [Math.min(...values), Math.max(...values)]);
  const place = (d, value) => (value - ends[d][0]) / (ends[d][1] - ends[d][0] || 1);
  const scores = line.color;
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  // A few colours, each in one trace.
  const shades = 8;
  const traces = Array.from({ length: shades }, (_, shade) => ({
    type: "scatter", mode: "lines", x: [], y: [], hoverinfo: "skip", showlegend: false,
    line: { width: 1, color: shadeOf(line.colorscale, shade / (shades - 1)) },
  }));
  for (let i = 0; i < n; i++) {
    const { x, y } = traces[Math.round((shades - 1) * (high > low ? (scores[i] - low) / (high - low) : 1))];
    dimensions.forEach((dimension, d) => (x.push(d), y.push(place(d, dimension.values[i]))));
    x.push(null), y.push(null);
  }
  const annotations = dimensions.flatMap(({ tickvals, ticktext, tickformat }, d) => {
    const ticks = tickvals ?? [0, 1, 2, 3].map((k) => ends[d][0] + (k / 3) * (ends[d][1] - ends[d][0]));
    const words = ticktext ?? ticks.map((tick) => Number(tick.toPrecision(tickformat === ".4~g" ? 4 : 3)).toString());
    return ticks.map((tick, k) => ({
      x: d, y: place(d, tick), text: words[k], showarrow: false, font: { size: 9 }, bgcolor: "rgba(255,255,255,0.8)", borderpad: 0,
    }));
  });
  const xaxis = {
    tickvals: dimensions.map((_, d) => d), ticktext: dimensions.map(({ label }) => label), tickangle: -30,
    tickfont: { size: 10 }, range: [-0.1, dimensions.length - 0.9], showline: false, gridcolor: "#8a8f98",
  };
  const yaxis = { visible: false, range: [-0.04, 1.04] };
  return [traces, { ...layout, annotations, xaxis, yaxis, height: layout.height, margin: { l: 72, r: 48, t: 24, b: 96 } }];
}

function shadeOf(scale, at) {
  const k = Math.max(1, scale.findIndex(([stop]) => stop >= at));
  const [[from, a], [to, b]] = [scale[k - 1], scale[k]];
  const part = (colour, i) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mixed = [0, 1, 2].map((i) => Math.round(part(a, i) + ((at - from) / (to - from)) * (part(b, i) - part(a, i))));
  return `rgb(${mixed.join(",")})`;
}

const figures = [...document.querySelectorAll(".figure")];
const usesWebGL = (element) => DATA.figures[element.dataset.figure].data.some((trace) => trace.type === "parcoords");
// Of 16 WebGL contexts a browser takes the oldest away and leaves white; parallel coordinates have three each.
const MOST_WITH_WEBGL = 4;
const withWebGL = [];

function show(element) {
  if (withWebGL.includes(element)) return;
  draw(element);
  if (!usesWebGL(element)) {
    seen.unobserve(element);
    return;
  }
  withWebGL.push(element);
  if (withWebGL.length > MOST_WITH_WEBGL) {
    clear(withWebGL.shift());
  }
}

function clear(element) {
  Plotly.purge(element);
  element.classList.remove("js-plotly-plot");
}

const seen = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => show(entry.target)),
  { rootMargin: "600px" },
);
const drawn = () => figures.filter((element) => element.classList.contains("js-plotly-plot"));
dark.addEventListener("change", () => drawn().forEach((element) => draw(element)));
window.addEventListener("beforeprint", () => figures.forEach((element) => draw(element, true)));
window.addEventListener("afterprint", () => {
  for (const element of drawn()) {
    if (!usesWebGL(element) || withWebGL.includes(element)) draw(element);
    else clear(element);
  }
});

for (const select of document.querySelectorAll("select[data-target]")) {
  const show = () => {
    const element = document.getElementById(select.dataset.target);
    element.dataset.figure = select.value;
    if (element.classList.contains("js-plotly-plot")) draw(element);
  };
  select.addEventListener("change", show);
}

// --- tables ------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const column = [...head.parentNode.children].indexOf(head);
    const up = head.getAttribute("aria-sort") === "descending";
    const key = (row) => row.cells[column].dataset.value;
    const compare = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
      return up ? order : -order;
    };
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
  });
}

// --- what would another rule have picked -------------------------------------------------------------------

function answer(panel) {
  const study = DATA.whatif[panel.dataset.study];
  const unit = study.unit;
  const field = (name) => panel.querySelector(`[name=${name}]`);
  const show = (value, what) => `${(unit.factor * value).toFixed(unit.decimals).replace("-", "\u2212")} ${what}`;
  const rule = {
    ...study.rule,
    penalty: Number(field("penalty").value),
    tolerance: Number(field("tolerance").value) / unit.factor,
    epoch_rule: field("epoch_rule").value,
  };
  // A penalty that a sweep file names takes the place of the choice by the loss; so does one that is tried.
  if (rule.penalty > 0 && !(study.rule.penalty > 0)) rule.within_se = 0;
  panel.querySelector("[data-out=penalty]").textContent = rule.penalty;
  panel.querySelector("[data-out=tolerance]").textContent =
    `${field("tolerance").value} ${field("tolerance").value === "1" ? unit.gap.replace(/s$/, "") : unit.gap}`;

  const ranked = rescore(rule, study.trials, study.allowed);
  const picked = ranked[0];
  const own = rescore(study.rule, study.trials, study.allowed).find((r) => r.trial.number === study.own);
  const same = own !== undefined && picked.trial.number === own.trial.number && picked.epoch === own.epoch;
  panel.querySelector("[data-out=words]").textContent = same
    ? `This rule picks what the study picked: trial ${own.trial.number} at epoch ${own.epoch + 1}.`
    : `This rule picks trial ${picked.trial.number} at epoch ${picked.epoch + 1}` +
      (own === undefined ? "." : `; the study's own pick is trial ${own.trial.number} at epoch ${own.epoch + 1}.`);

  const at = (row, part) => row.trial.curve[`${part}_${rule.metric}`][row.epoch];
  const lines = [
    ["trial", (r) => `${r.trial.number}`],
    ["scored epoch", (r) => `${r.epoch + 1} of ${r.trial.curve[`val_${rule.metric}`].length}`],
    [`validation ${unit.name}`, (r) => show(at(r, "val"), unit.value)],
    [`training ${unit.name}`, (r) => show(at(r, "train"), unit.value)],
    ["gap", (r) => show(r.gap, unit.gap)],
    ["score by this rule", (r) => epochScores(rule, r.trial.curve)[r.epoch].score.toFixed(4).replace("-", "\u2212")],
    ["parameters", (r) => (r.trial.n_parameters === null ? "\u2013" : r.trial.n_parameters.toLocaleString("en"))],
    ["configuration", (r) => r.trial.configuration],
  ];
  const body = panel.querySelector("tbody");
  body.replaceChildren(
    ...lines.map(([name, cell]) => {
      const row = document.createElement("tr");
      row.append(text("th", name), text("td", cell(picked)), text("td", own === undefined ? "\u2013" : cell(own)));
      return row;
    }),
  );
}

const panels = [...document.querySelectorAll("form.whatif")];
for (const panel of panels) {
  panel.addEventListener("input", () => answer(panel));
  panel.addEventListener("reset", () => setTimeout(() => answer(panel)));
  panel.addEventListener("submit", (event) => event.preventDefault());
}

start().catch((error) => {
  document.getElementById("unreadable").hidden = false;
  console.error(error);
});
