// The explorer: two charts along fine-tuning and one at an epoch, chosen by menus, linked by pointing.
// Its state is in the address, so that a finding is a link.

const study = JSON.parse(document.getElementById("explorer-data").textContent);
const form = document.getElementById("explorer-controls");
const vega = { mode: "vega-lite", actions: false, renderer: "svg" };
const charts = ["scatter", "metric", "pd"].map((name) => ({ name, holder: document.getElementById(`chart-${name}`) }));
const trials = [...new Set(study.networks.flatMap((network) => network.trial))].sort((a, b) => a - b);
const epochs = [...new Set(study.networks.flatMap((network) => network.epoch))].sort((a, b) => a - b);
const titleOf = (name) => study.titles[name] ?? name;

// What can be chosen: for each menu its label, and its values with their names.
const unique = (values) => [...new Set(values)];
const menus = {
  dataset: ["data set", () => unique(study.networks.map((n) => n.dataset)).map((name) => [name, titleOf(name)])],
  model: ["network", () => study.networks.filter((n) => n.dataset === state.dataset).map((n) => [n.model, titleOf(n.model)])],
  metric: ["measure", () => Object.entries(study.metrics)],
  pd: ["PD of", () => Object.entries(study.pds)],
  split: ["split", () => Object.entries(study.splits)],
  reference: ["measured from", () => [["baseline", "the baseline"], ...(study.statistic === "rho" ? [] : [["control", "the control"]])]],
  sign: ["PD shown", () => [["absolute", "absolute"], ["signed", "signed: + is worse"]]],
  trial: ["trials", () => [["0", trials.length > 1 ? `mean of ${trials.length}` : "the only one"], ...(trials.length > 1 ? trials.map((t) => [String(t), `trial ${t}`]) : [])]],
};
const state = { dataset: study.networks[0].dataset, epoch: epochs.at(-1), only: new Set() };

const read = () => {
  const [place, asked] = location.hash.slice(1).split("?");
  if (place !== "explore" || !asked) return false;
  for (const [name, value] of new URLSearchParams(asked)) {
    if (name === "only") state.only = new Set(value.split(",").filter(Boolean));
    else if (name === "epoch") state.epoch = epochs.includes(Number(value)) ? Number(value) : state.epoch;
    else if (name in menus) state[name] = value;
  }
  return true;
};

const write = () => {
  const asked = new URLSearchParams(Object.keys(menus).map((name) => [name, state[name]]));
  asked.set("epoch", state.epoch);
  if (state.only.size) asked.set("only", [...state.only].join(","));
  history.replaceState(null, "", `#explore?${asked}`);
};

// Keep every choice among what there is, and show it in the menus.
const settle = () => {
  for (const [name, [, list]] of Object.entries(menus)) {
    const options = list();
    if (!options.some(([value]) => value === state[name])) state[name] = options[0][0];
    const select = form.elements[name];
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value, false, value === state[name])));
    select.parentElement.hidden = options.length < 2;
  }
  form.elements.epoch.value = epochs.indexOf(state.epoch);
  document.getElementById("epoch-shown").value = state.epoch;
};

const variantName = ({ mode, ratio, allocation }) =>
  mode === study.control ? "not pruned" : `${study.modes[mode] ?? mode} ${ratio}${allocation ? `, ${allocation}` : ""}`;
const isLit = ({ mode, ratio }) => {
  const modes = [...state.only].filter((key) => key.startsWith("mode:"));
  const ratios = [...state.only].filter((key) => key.startsWith("ratio:"));
  return (!modes.length || modes.includes(`mode:${mode}`)) && (!ratios.length || ratios.includes(`ratio:${ratio}`));
};

// The rows of the chosen network: a measure and a PD for each variant and epoch.
const network = () => study.networks.find((n) => n.dataset === state.dataset && n.model === state.model);
const measureColumn = (of) => {
  const control = `${state.metric}_from_control`;
  if (state.reference === "baseline" || study.fixed.includes(state.metric)) return of.values[state.metric];
  return of.values[control] ?? [];
};
const rowsOf = () => {
  const of = network();
  const measure = measureColumn(of);
  const difference = of.values[`${state.split}_pd_${state.pd}`];
  const isControl = (row) => study.variants[of.variant[row]].mode === study.control;
  const drift = new Map();
  of.trial.forEach((trial, row) => isControl(row) && drift.set(`${trial} ${of.epoch[row]}`, difference[row]));
  const cells = new Map();
  of.trial.forEach((trial, row) => {
    if (state.trial !== "0" && String(trial) !== state.trial) return;
    if (state.reference === "control" && isControl(row)) return;
    let pd = difference[row];
    if (state.reference === "control" && pd !== null) pd -= drift.get(`${trial} ${of.epoch[row]}`) ?? NaN;
    let metric = measure[row] ?? null;
    if (state.sign === "absolute") [pd, metric] = [pd, metric].map((value) => (value === null ? null : Math.abs(value)));
    if (pd === null || metric === null || !Number.isFinite(pd)) return;
    const key = `${of.variant[row]} ${of.epoch[row]}`;
    if (!cells.has(key)) cells.set(key, { variant: of.variant[row], epoch: of.epoch[row], metric: [], pd: [] });
    cells.get(key).metric.push(metric);
    cells.get(key).pd.push(pd);
  });
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const written = (value) => Number(value.toPrecision(3)).toString();
  return [...cells.values()].map((cell) => {
    const variant = study.variants[cell.variant];
    const spread = cell.pd.length > 1 ? `${written(Math.min(...cell.pd))} to ${written(Math.max(...cell.pd))}, n = ${cell.pd.length}` : "one trial";
    return { ...variant, variant: variantName(variant), epoch: cell.epoch, metric: mean(cell.metric), pd: mean(cell.pd), spread, lit: isLit(variant) };
  });
};

// An axis for some values: logarithmic where all are positive or zero, else through zero.
const axisOf = (values) => {
  const positive = values.filter((value) => value > 0);
  if (!positive.length && !values.some((value) => value < 0)) return { type: "linear", domain: [0, 1], shown: () => 0.5, zeros: values.length ? 0.5 : null };
  if (values.some((value) => value < 0)) {
    const sizes = values.map(Math.abs).filter(Boolean).sort((a, b) => a - b);
    const constant = sizes[Math.floor(sizes.length / 4)];
    const [low, high] = [Math.min(...values, 0), Math.max(...values, 0)];
    return { type: "symlog", constant, domain: [low, high], shown: (value) => value, zeros: null, zero: true };
  }
  const floor = Math.min(...positive) / 2;
  const some = positive.length < values.length;
  let domain = [some ? floor : Math.min(...positive), Math.max(...positive)];
  if (domain[0] === domain[1]) domain = [domain[0] / 2, domain[1] * 2];
  return { type: "log", domain, shown: (value) => (value > 0 ? value : floor), zeros: some ? floor : null };
};

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const pdTitle = () => `${state.sign === "signed" ? "signed " : ""}PD, ${study.splits[state.split]} ${study.pds[state.pd]} (${study.units[state.pd]})`;
const from = () => (state.reference === "control" ? " from the control" : "");

// A title in as many lines as its place is wide for.
const ruler = document.createElement("canvas").getContext("2d");
const inLines = (text, wide, font) => {
  ruler.font = `${font} system-ui, sans-serif`;
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && ruler.measureText(longer).width <= wide) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
};

const channel = (field, axis, title) => ({
  field, type: "quantitative", title,
  scale: { type: axis.type, domain: axis.domain, nice: false, padding: 14, ...(axis.constant ? { constant: axis.constant } : {}) },
  axis: { format: ".3~g", tickCount: 5, labelOverlap: "greedy", labelFlush: 12, titlePadding: 8 },
});
const common = () => {
  const domain = Object.keys(study.colors);
  const ratios = unique(study.variants.map((variant) => variant.ratio)).sort((a, b) => a - b);
  return {
    color: { field: "mode", scale: { domain: [...domain, study.control], range: [...Object.values(study.colors), color("--control")] }, legend: null },
    size: { field: "ratio", type: "ordinal", scale: { domain: ratios, range: [40, 240] }, legend: null },
    tooltip: [["variant", "variant"], ["epoch", "epoch"], ["metric", study.metrics[state.metric]], ["pd", "PD"], ["spread", "PD of trials"]]
      .map(([field, title]) => ({ field, title, type: typeof field === "string" && ["metric", "pd"].includes(field) ? "quantitative" : "nominal", ...(["metric", "pd"].includes(field) ? { format: ".4~g" } : {}) })),
    opacity: (strong) => ({ condition: [{ test: "lit !== '' && datum.variant !== lit", value: 0.12 }, { test: "lit === '' && !datum.lit", value: 0.1 }], value: strong }),
  };
};
const widthOf = (holder) => Math.max(holder.clientWidth, 240);
const besideAxis = (holder) => widthOf(holder) - 80; // what an axis and its numbers leave
const frame = (holder, height, title) => ({
  width: widthOf(holder), height,
  title: { text: inLines(title, besideAxis(holder), "bold 13px"), anchor: "start", frame: "group", fontSize: 13, color: color("--ink") },
  autosize: { type: "fit", contains: "padding" }, padding: { left: 2, right: 8, top: 4, bottom: 2 },
  params: [{ name: "lit", value: "" }],
  config: {
    background: null, view: { stroke: null }, font: "system-ui, sans-serif",
    axis: { gridColor: color("--line"), domainColor: color("--soft"), tickColor: color("--soft"), labelColor: color("--soft"), titleColor: color("--ink"), titleFontWeight: 500 },
  },
});
const zeroLines = (axis, side) => {
  if (axis.zeros === null && !axis.zero) return [];
  const at = { datum: axis.zeros ?? 0, type: "quantitative" };
  const line = { data: { values: [{}] }, mark: { type: "rule", strokeDash: [3, 3], color: color("--soft") }, encoding: { [side]: at } };
  if (axis.zero || side === "x") return [line];
  const word = { data: { values: [{}] }, mark: { type: "text", align: "right", x: "width", dx: -4, dy: -6, color: color("--soft"), text: "exactly zero" }, encoding: { y: at } };
  return [line, word];
};

const drawn = (rows) => {
  const x = axisOf(rows.map((row) => row.metric));
  const y = axisOf(rows.map((row) => row.pd));
  return [rows.map((row) => ({ ...row, metric_shown: x.shown(row.metric), pd_shown: y.shown(row.pd) })), x, y];
};

const scatter = (all, holder) => {
  const [values, x, y] = drawn(all.filter((row) => row.epoch === state.epoch));
  const { color: hue, size, tooltip, opacity } = common();
  const title = epochs.length > 1 ? `Epoch ${state.epoch}` : "Every pruned network";
  return {
    ...frame(holder, 380, title), data: { values },
    layer: [
      ...zeroLines(y, "y"), ...zeroLines(x, "x"),
      { mark: { type: "point", filled: true, stroke: color("--paper"), strokeWidth: 0.8, cursor: "pointer" }, encoding: { x: channel("metric_shown", x, inLines(study.metrics[state.metric] + from(), besideAxis(holder), "500 11px")), y: channel("pd_shown", y, pdTitle() + from()), color: hue, size, tooltip, opacity: opacity(0.95) } },
    ],
  };
};

const curves = (all, holder, which) => {
  const [values, x, y] = drawn(all);
  const axis = which === "metric" ? x : y;
  const { color: hue, tooltip, opacity } = common();
  // The name of the axis above it: on its side it would be longer than the chart is high.
  const spec = frame(holder, 200, (which === "metric" ? study.metrics[state.metric] : pdTitle()) + from());
  const across = { field: "epoch", type: "quantitative", title: "fine-tuning epoch", scale: { domain: [epochs[0], Math.max(epochs.at(-1), epochs[0] + 1)], nice: false, padding: 10 }, axis: { tickMinStep: 1, format: "d", tickCount: 8, grid: false } };
  const up = channel(`${which}_shown`, axis, null);
  return {
    ...spec, data: { values }, params: [...spec.params, { name: "now", value: state.epoch }],
    layer: [
      ...zeroLines(axis, "y"),
      { data: { values: [{}] }, transform: [{ calculate: "now", as: "at" }], mark: { type: "rule", color: color("--soft"), strokeDash: [2, 3] }, encoding: { x: { field: "at", type: "quantitative" } } },
      { mark: { type: "line" }, encoding: { x: across, y: up, color: hue, detail: { field: "variant" }, opacity: opacity(0.9), strokeWidth: { field: "ratio", type: "ordinal", scale: { range: [0.7, 2.8] }, legend: null } } },
      { mark: { type: "point", filled: true, size: 26, cursor: "pointer" }, encoding: { x: across, y: up, color: hue, tooltip, opacity: opacity(0.9) } },
    ],
  };
};

// How often the measure and the PD agree, beside the floor and the ceiling.
const agreement = () => {
  const of = network();
  const pd = `${state.split}_pd_${state.pd}${state.sign === "signed" ? "_signed" : ""}`;
  const shown = (grid) => {
    const column = [...new Set(of.epoch)].sort((a, b) => a - b).indexOf(state.epoch);
    const mine = [...new Set(of.trial)].sort((a, b) => a - b);
    return (grid || []).filter((_, row) => state.trial === "0" || String(mine[row]) === state.trial).map((row) => row[column]).filter((value) => value !== null && value !== undefined);
  };
  const share = (measure) => {
    const values = shown(of.agreement[`${state.reference} ${pd} ${measure}`]);
    return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
  };
  const [mine, floor, ceiling] = [state.metric, study.floor, study.ceiling].map(share);
  const isRho = study.statistic === "rho";
  const written = (value) => (isRho ? value.toFixed(2) : `${(100 * value).toFixed(0)} %`);
  const place = (name, value, label) => {
    const mark = document.querySelector(`#gauge [data-mark=${name}]`);
    mark.hidden = value === null;
    if (value !== null) { mark.style.left = `${100 * Math.max(value, 0)}%`; mark.title = `${label}: ${written(value)}`; }
  };
  place("measure", mine, study.metrics[state.metric]);
  place("floor", floor, isRho ? "the ratio alone" : "look-up of the variant in other trials");
  place("ceiling", ceiling, "what noise leaves room for, estimated");
  const decided = shown(of.decided[`${state.reference} ${pd}`]);
  const [fewest, most] = [Math.min(...decided), Math.max(...decided)];
  const pairs = decided.length ? ` The examples tell apart ${fewest < most ? `${fewest} to ${most}` : most} pair${most === 1 ? "" : "s"}${decided.length > 1 ? " of each trial" : ""}.` : "";
  const beside = [["chance", isRho ? 0 : 0.5], [isRho ? "ratio alone" : "floor", floor], ["ceiling", ceiling]]
    .filter(([, value]) => value !== null).map(([name, value]) => `${name} ${written(value)}`).join(", ");
  const name = study.metrics[state.metric];
  document.getElementById("agreement-said").textContent = mine === null
    ? `The agreement was not counted for this choice.${pairs}`
    : isRho
      ? `${name} orders the pruned networks as the PD does with Spearman's ρ = ${written(mine)} (${beside}).`
      : `${name} orders ${written(mine)} of the pairs as the PD does (${beside}).${pairs}`;
};

const legend = () => {
  const entries = [
    ...Object.keys(study.colors).map((mode) => [`mode:${mode}`, study.modes[mode], `background:${study.colors[mode]}`, ""]),
    ...(state.reference === "control" || !study.variants.some((v) => v.mode === study.control) ? [] : [[`mode:${study.control}`, "not pruned", "background:var(--control)", ""]]),
    ...unique(study.variants.filter((v) => v.mode !== study.control).map((v) => v.ratio)).sort((a, b) => a - b).map((ratio, i, all) => {
      const wide = 7 + (9 * i) / Math.max(all.length - 1, 1);
      return [`ratio:${ratio}`, String(ratio), `width:${wide}px;height:${wide}px`, "size"];
    }),
  ];
  document.getElementById("legend").replaceChildren(...entries.map(([key, label, style, kind]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.key = key;
    button.setAttribute("aria-pressed", String(state.only.has(key)));
    const chip = document.createElement("i");
    chip.style.cssText = style;
    chip.className = kind;
    button.append(chip, `${kind ? "ratio " : ""}${label}`);
    button.addEventListener("click", (event) => {
      const was = state.only.has(key);
      const same = [...state.only].filter((one) => one.startsWith(key.split(":")[0]));
      if (!event.shiftKey) same.forEach((one) => state.only.delete(one));
      if (was) state.only.delete(key); else state.only.add(key);
      show();
    });
    return button;
  }));
};

let turn = 0;
const show = async ({ remember = true } = {}) => {
  const mine = ++turn;
  settle();
  legend();
  agreement();
  if (remember) write();
  const rows = rowsOf();
  document.getElementById("explorer-empty").hidden = rows.length > 0;
  const several = epochs.length > 1;
  document.getElementById("along").hidden = !several;
  const specs = { scatter: (holder) => scatter(rows, holder), metric: (holder) => curves(rows, holder, "metric"), pd: (holder) => curves(rows, holder, "pd") };
  for (const chart of charts.filter(({ name }) => several || name === "scatter")) {
    const inside = document.createElement("div");
    const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const { view, finalize } = await window.vegaEmbed(inside, specs[chart.name](chart.holder), { ...vega, tooltip: { theme } });
    await view.resize().runAsync(); // what the first layout did not know of the second one's labels
    if (mine !== turn) { finalize(); return; }
    chart.finalize?.();
    Object.assign(chart, { view, finalize });
    chart.holder.replaceChildren(inside);
    view.addEventListener("pointerover", (_, item) => light(item?.datum?.variant ?? ""));
    view.addEventListener("pointerout", () => light(""));
  }
  document.getElementById("explorer").dataset.turn = mine;
};

// What is pointed at in one chart stands out in all.
let lit = "";
const light = (variant) => {
  if (variant === lit) return;
  lit = variant;
  charts.forEach(({ view }) => view?.signal("lit", variant).runAsync());
};

for (const [name, [label]] of Object.entries(menus)) {
  const holder = document.createElement("label");
  const select = document.createElement("select");
  select.name = name;
  holder.append(label, select);
  form.querySelector(".epoch").before(holder);
  select.addEventListener("change", () => { state[name] = select.value; show(); });
}
form.elements.epoch.max = epochs.length - 1;
form.querySelector(".epoch").hidden = epochs.length < 2;
form.elements.epoch.addEventListener("input", (event) => { state.epoch = epochs[event.target.value]; show(); });
form.addEventListener("submit", (event) => event.preventDefault());
document.querySelectorAll("[data-chart]").forEach((button) =>
  button.addEventListener("click", async () => {
    const { view, name } = charts.find((chart) => chart.name === button.dataset.chart);
    save(new Blob([await view.toSVG()], { type: "image/svg+xml" }), `${state.model.replace(/\W+/g, "_")}-${state.metric}-${name}.svg`);
  }),
);
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; show({ remember: false }); } });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show({ remember: false }));
addEventListener("hashchange", () => { if (read()) show({ remember: false }); });

const asked = read();
await show({ remember: false });
if (asked) document.getElementById("explore").scrollIntoView();
