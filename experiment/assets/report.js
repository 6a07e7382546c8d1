// Sorts and filters the tables that the page came with, and draws its plots by uPlot. All figures are in the element `data`, as pairs of
// a run's label and its summary. Texts of the data are only ever set as text, never as HTML.
"use strict";
(() => {
  // The place of a run, where a chooser offers it beside the axes.
  const RUN = -1;
  // More lines than these can no longer be told apart.
  const LINES_MAX = 48;
  const COLORS = 8;
  const SHAPES = 3;
  const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
  const HEIGHT_PX = 420;
  const POINT_PX = 3.2;
  // Between labels of ticks, so that they do not run into each other.
  const LABEL_PX = 44;
  // From here on ticks are labelled with exponents.
  const BRIEF_MIN = 1e6;
  const LABEL_LETTERS_MAX = 22;

  const element = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });
  const runs = JSON.parse(document.getElementById("data").textContent).map(([label, summary]) => ({ label, summary }));

  // What the runs have between them. `page/grid.rs` numbers axes and values by the same rule.
  const axes = [];
  const metrics = [];
  for (const { summary } of runs) {
    const ours = summary.axes.map((axis) => {
      const known = axes.find((other) => other.name === axis.name);
      if (known) return known;
      axes.push({ name: axis.name, values: [] });
      return axes.at(-1);
    });
    const add = (axis, value) => axis.values.includes(value) || axis.values.push(value);
    summary.axes.forEach((axis, number) => axis.values.forEach((value) => add(ours[number], value)));
    for (const values of [...summary.cells.map((cell) => cell.values), ...summary.failures.map((failure) => failure.cell)]) {
      values.slice(0, ours.length).forEach((value, number) => add(ours[number], value));
    }
    for (const metric of summary.metrics) {
      if (!metrics.some((known) => known.name === metric.name)) metrics.push(metric);
    }
  }
  const isNumber = (text) => /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
  for (const axis of axes) axis.isNumeric = axis.values.length > 0 && axis.values.every(isNumber);

  const points = runs.flatMap(({ summary }, run) =>
    summary.cells.map((cell) => ({
      run,
      figures: cell.figures,
      place: axes.map((axis) => {
        const number = summary.axes.findIndex((ours) => ours.name === axis.name);
        return number < 0 ? -1 : axis.values.indexOf(cell.values[number]);
      }),
    })),
  );

  // Tables first: they need no plots.
  for (const table of document.querySelectorAll("main > section table")) makeSortable(table);
  pinAxes();
  window.addEventListener("resize", pinAxes);
  const filters = makeFilters();
  const plot = makePlot();
  filters.form.addEventListener("change", () => {
    filters.apply();
    pinAxes();
    plot.draw();
  });
  plot.draw();

  // ---- Tables

  // A click on a heading sorts by its column, a second one the other way round. Rows that are alike keep their order, and what has no
  // figure comes last either way.
  function makeSortable(table) {
    const headings = leaves(table);
    headings.forEach((heading, column) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.append(...heading.childNodes);
      heading.append(button);
      heading.setAttribute("aria-sort", "none");
      heading.addEventListener("click", () => {
        const isUp = heading.getAttribute("aria-sort") !== "ascending";
        for (const other of headings) other.setAttribute("aria-sort", "none");
        heading.setAttribute("aria-sort", isUp ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: key(row.cells[column]) }));
        rows.sort((one, other) => compare(one.key, other.key, isUp ? 1 : -1));
        table.tBodies[0].append(...rows.map(({ row }) => row));
      });
    });
  }

  // The headings that stand directly above a column, by their columns.
  function leaves(table) {
    const grid = [...table.tHead.rows].map(() => []);
    [...table.tHead.rows].forEach((row, top) => {
      let left = 0;
      for (const cell of row.cells) {
        while (grid[top][left]) left += 1;
        for (let down = 0; down < cell.rowSpan; down += 1) {
          for (let right = 0; right < cell.colSpan; right += 1) grid[top + down][left + right] = cell;
        }
      }
    });
    return grid.at(-1);
  }

  function key(cell) {
    if (cell.classList.contains("none")) return null;
    const number = Number(cell.dataset.value);
    return "value" in cell.dataset && !Number.isNaN(number) ? number : cell.textContent;
  }

  function compare(one, other, direction) {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "number" && typeof other === "number") return (one < other ? -1 : one > other ? 1 : 0) * direction;
    return String(one).localeCompare(String(other), undefined, { numeric: true }) * direction;
  }

  // The axes' columns stay where they are when a wide table is scrolled sideways, unless they would leave little room for the others. Where
  // they begin is known once the table is laid out.
  function pinAxes() {
    const table = document.getElementById("means");
    if (!table) return;
    const headings = [...table.querySelectorAll("thead .axis")];
    let left = 0;
    const lefts = headings.map((heading) => {
      left += heading.offsetWidth;
      return left - heading.offsetWidth;
    });
    table.classList.toggle("pinned", left < table.parentElement.clientWidth / 2);
    for (const row of table.tBodies[0].rows) lefts.forEach((left, column) => (row.cells[column].style.left = `${left}px`));
    headings.forEach((heading, column) => (heading.style.left = `${lefts[column]}px`));
  }

  // ---- Filters

  // A labelled chooser at the end of a form. Options are pairs of a value and a text.
  function chooser(form, name, options) {
    const label = element("label", name);
    const select = element("select");
    for (const [value, text] of options) select.append(Object.assign(element("option", text), { value }));
    label.append(select);
    form.append(label);
    return select;
  }

  function makeFilters() {
    const form = document.getElementById("filters");
    const all = (texts) => [["", "all"], ...texts.map((text, number) => [number, text])];
    const metric = chooser(form, "Metrics in the table", all(metrics.map(({ name }) => name)));
    const ofAxes = axes.map((axis) => chooser(form, axis.name, all(axis.values)));
    const run = runs.length > 1 ? chooser(form, "Run", all(runs.map(({ label }) => label))) : { value: "" };
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = points.length === 0;
    const isChosen = (select, number) => select.value === "" || select.value === String(number);
    const isPlaceShown = (place) => ofAxes.every((select, number) => isChosen(select, place[number]));
    const spanning = [...document.querySelectorAll("#means thead th[scope=colgroup]")];

    function apply() {
      for (const row of document.querySelectorAll("tr[data-place]")) row.hidden = !isPlaceShown(row.dataset.place.split(" "));
      for (const cell of document.querySelectorAll("#means [data-metric], #means [data-run]")) {
        const { metric: ofMetric, run: ofRun } = cell.dataset;
        cell.hidden = (ofMetric && !isChosen(metric, ofMetric)) || (ofRun && !isChosen(run, ofRun));
      }
      for (const heading of spanning) heading.colSpan = run.value === "" ? runs.length : 1;
      for (const cell of document.querySelectorAll("#failures [data-run]")) {
        cell.parentElement.hidden ||= !isChosen(run, cell.dataset.run);
      }
    }
    return { form, apply, isShown: (point) => isChosen(run, point.run) && isPlaceShown(point.place) };
  }

  // ---- Plots

  function makePlot() {
    const section = document.getElementById("plot");
    const form = section.querySelector("form");
    const status = section.querySelector("[role=status]");
    const canvas = section.querySelector(".canvas");
    const readout = section.querySelector(".readout");
    if (points.length === 0 || metrics.length === 0) return { draw() {} };
    section.hidden = false;

    const metric = chooser(form, "Metric", metrics.map(({ name }, number) => [number, name]));
    const alongs = axes.map(({ name }, number) => [number, name]);
    if (runs.length > 1 || axes.length === 0) alongs.push([RUN, "run"]);
    const along = chooser(form, "Along", alongs);
    along.value = String(Math.max(axes.findIndex((axis) => axis.isNumeric), axes.length > 0 ? 0 : RUN));
    const logX = switcher(form, "logarithmic along", false);
    const logY = switcher(form, "logarithmic upwards", false);
    const fromZero = switcher(form, "upwards from zero", true);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", draw);
    // Colours are looked up when a plot is made.
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    new ResizeObserver(() => drawn?.setSize({ width: canvas.clientWidth, height: HEIGHT_PX })).observe(canvas);
    let drawn = null;

    function draw() {
      drawn?.destroy();
      drawn = null;
      canvas.replaceChildren();
      readout.replaceChildren();
      const chosen = { metric: metrics[metric.value], along: Number(along.value) };
      const lines = linesOf(chosen.metric, chosen.along, filters.isShown);
      const isNumeric = chosen.along !== RUN && axes[chosen.along].isNumeric;
      logX.disabled = !isNumeric || lines.xs.some((x) => x <= 0);
      fromZero.disabled = logY.checked;
      const said = [];
      if (lines.all.length === 0) said.push("No run has this metric in the cells that are chosen.");
      if (lines.all.length > LINES_MAX) said.push(`The first ${LINES_MAX} of ${lines.all.length} lines are drawn; choose fewer cells above.`);
      const means = lines.all.flatMap((line) => line.figures).filter((figure) => figure !== null).map((figure) => figure.mean);
      const isLogY = logY.checked && means.some((mean) => mean > 0);
      if (logY.checked && means.length > 0 && !isLogY) said.push("Nothing is above zero, so upwards is not logarithmic.");
      if (isLogY && means.some((mean) => mean <= 0)) said.push("What is not above zero has no place on a logarithmic axis and is left out.");
      status.textContent = said.join(" ");
      const name = chosen.along === RUN ? "run" : axes[chosen.along].name;
      const unit = chosen.metric.unit === "" ? "" : ` (${chosen.metric.unit})`;
      canvas.setAttribute("aria-label", `${chosen.metric.name}${unit} along ${name}; the table of means has the same figures.`);
      if (lines.all.length === 0) return;
      const how = {
        x: name,
        y: `${chosen.metric.name}${unit}`,
        isNumeric,
        isLogX: logX.checked && !logX.disabled,
        isLogY,
        isFromZero: fromZero.checked,
        width: canvas.clientWidth,
        readout,
      };
      drawn = drawLines(canvas, { ...lines, all: lines.all.slice(0, LINES_MAX) }, how);
    }
    return { draw };
  }

  function switcher(form, name, isOn) {
    const label = element("label");
    const box = Object.assign(element("input"), { type: "checkbox", checked: isOn });
    label.className = "switch";
    label.append(box, name);
    form.append(label);
    return box;
  }

  // One line for each combination of what is not drawn along: colours tell the combinations of axes apart, dashes the runs.
  function linesOf(metric, along, isShown) {
    const spot = (point) => (along === RUN ? point.run : point.place[along]);
    const figure = (point) => (Object.hasOwn(point.figures, metric.name) ? point.figures[metric.name] : null);
    const shown = points.filter((point) => isShown(point) && spot(point) >= 0 && figure(point)?.mean != null);
    const isNumeric = along !== RUN && axes[along].isNumeric;
    const x = (number) => (isNumeric ? Number(axes[along].values[number]) : number);
    const spots = [...new Set(shown.map((point) => x(spot(point))))].sort((one, other) => one - other);
    const combinations = new Map();
    const lines = new Map();
    for (const point of shown) {
      const others = axes.map((axis, number) => [axis, number, point.place[number]]).filter(([, number, value]) => number !== along && value >= 0);
      const combination = others.map(([, number, value]) => `${number}=${value}`).join();
      if (!combinations.has(combination)) combinations.set(combination, combinations.size);
      const run = along === RUN ? 0 : point.run;
      const id = `${combination};${run}`;
      if (!lines.has(id)) {
        const texts = others.filter(([axis]) => axis.values.length > 1).map(([axis, , value]) => `${axis.name} = ${axis.values[value]}`);
        if (along !== RUN && runs.length > 1) texts.push(runs[run].label);
        const label = texts.join(", ") || metric.name;
        lines.set(id, { label, run, combination: combinations.get(combination), figures: spots.map(() => null) });
      }
      lines.get(id).figures[spots.indexOf(x(spot(point)))] = figure(point);
    }
    const all = [...lines.values()].sort((one, other) => one.combination - other.combination || one.run - other.run);
    const names = spots.map((value) => (isNumeric ? String(value) : along === RUN ? runs[value].label : axes[along].values[value]));
    // Categories stand side by side, whatever their numbers are.
    return { xs: isNumeric ? spots : spots.map((_, number) => number), names, all };
  }

  function drawLines(canvas, lines, how) {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const font = `12px ${style.fontFamily}`;
    const colorOf = (line) => color(`--line-${line.combination % COLORS}`);
    const dashOf = (line) => DASHES[(line.run + Math.floor(line.combination / COLORS)) % DASHES.length];
    // Hollow points tell runs apart also where nothing is joined.
    const isHollow = (line) => line.run % 2 === 1;
    const fillOf = (line) => (isHollow(line) ? color("--paper") : colorOf(line));
    const isAbove = (value) => value != null && (!how.isLogY || value > 0);
    const show = (value) => (value == null ? "" : String(Number(value.toPrecision(5))).replaceAll("-", "−"));
    // Where there are more combinations than colours, shapes tell them apart.
    const shapeOf = (line) => Math.floor(line.combination / COLORS) % SHAPES;
    const series = lines.all.map((line) => ({
      label: line.label,
      class: `shape-${shapeOf(line)}`,
      stroke: colorOf(line),
      dash: dashOf(line),
      width: 1.5,
      spanGaps: true,
      points: { show: false },
      // Between categories there is nothing to be joined.
      ...(how.isNumeric ? {} : { paths: () => null }),
      values: (_, number, index) => {
        const figure = index == null ? null : lines.all[number - 1].figures[index];
        return { mean: show(figure?.mean), "at least": show(figure?.low), "at most": show(figure?.high), runs: show(figure?.runs) };
      },
    }));
    const brief = (value) => (Math.abs(value) < BRIEF_MIN ? show(value) : value.toExponential().replace("e+", "e").replaceAll("-", "−"));
    const write = (_, splits) => splits.map((value) => (value == null ? "" : brief(value)));
    const axis = { values: write, stroke: color("--text"), font, labelFont: font, grid: { stroke: color("--grid"), width: 1 }, ticks: { stroke: color("--grid"), width: 1 } };
    const shorten = (text) => (text.length > LABEL_LETTERS_MAX ? `${text.slice(0, LABEL_LETTERS_MAX - 1)}…` : text);
    const isCrowded = lines.names.map(shorten).join("").length * 8 > how.width - 120;
    const ticksAt = how.isNumeric && !how.isLogX ? {} : {
      splits: () => lines.xs,
      filter: (plot, splits) => thin(plot, splits),
      values: (_, splits) => splits.map((at) => (at === null ? "" : shorten(lines.names[lines.xs.indexOf(at)]))),
      ...(how.isNumeric || !isCrowded ? {} : { rotate: 35, size: 110, filter: (_, splits) => splits }),
    };
    const caption = element("caption", `Point at the plot: figures of ${how.y} stand here.`);
    const options = {
      width: how.width,
      height: HEIGHT_PX,
      scales: {
        x: { time: false, distr: how.isLogX ? 3 : 1, range: () => widths(lines.xs, how) },
        y: { distr: how.isLogY ? 3 : 1, range: () => heights(lines.all, isAbove, how) },
      },
      axes: [{ ...axis, label: how.x, ...ticksAt }, { ...axis, label: how.y, size: 72 }],
      series: [{ label: how.x }, ...series],
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      legend: {
        markers: { width: 2, dash: (_, number) => (isHollow(lines.all[number - 1]) ? "dotted" : "solid"), fill: (_, number) => fillOf(lines.all[number - 1]) },
        mount: (_, table) => { table.prepend(caption); how.readout.append(table); },
      },
      hooks: {
        draw: [(plot) => drawIntervals(plot, lines, how, { isAbove, colorOf, fillOf, shapeOf })],
        setCursor: [(plot) => {
          if (plot.cursor.idx != null) caption.textContent = `${how.y} at ${how.x} = ${lines.names[plot.cursor.idx]}`;
        }],
      },
    };
    const means = lines.all.map((line) => line.figures.map((figure) => (isAbove(figure?.mean) ? figure.mean : null)));
    return new uPlot(options, [lines.xs, ...means], canvas);
  }

  // Leaves out the ticks whose labels would run into the last one that is kept.
  function thin(plot, splits) {
    let last = -Infinity;
    return splits.map((at) => {
      const left = plot.valToPos(at, "x");
      if (left - last < LABEL_PX) return null;
      last = left;
      return at;
    });
  }

  function widths(xs, how) {
    if (!how.isNumeric) return [-0.5, xs.length - 0.5];
    const [low, high] = [xs[0], xs.at(-1)];
    if (how.isLogX) {
      const room = low === high ? 2 : (high / low) ** 0.04;
      return [low / room, high * room];
    }
    const room = low === high ? Math.max(1, Math.abs(low) / 2) : (high - low) * 0.04;
    return [low - room, high + room];
  }

  function heights(lines, isAbove, how) {
    const figures = lines.flatMap((line) => line.figures).filter((figure) => isAbove(figure?.mean));
    const all = figures.flatMap(({ mean, low, high }) => [mean, low, high]).filter(isAbove);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    if (how.isLogY) return [low / 1.3, high * 1.3];
    const [floor, ceiling] = how.isFromZero ? [Math.min(low, 0), Math.max(high, 0)] : [low, high];
    const room = (ceiling - floor) * 0.06 || Math.max(1, Math.abs(high) / 2);
    return [how.isFromZero && floor === 0 ? 0 : floor - room, ceiling + room];
  }

  // Points and their intervals. Those of one category stand beside each other.
  function drawIntervals(plot, lines, how, { isAbove, colorOf, fillOf, shapeOf }) {
    const { ctx, bbox } = plot;
    const ratio = window.devicePixelRatio || 1;
    ctx.save();
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.rect(bbox.left - 4 * ratio, bbox.top - 4 * ratio, bbox.width + 8 * ratio, bbox.height + 8 * ratio);
    ctx.clip();
    const step = how.isNumeric ? 0 : Math.min(14 * ratio, (0.7 * bbox.width) / lines.xs.length / lines.all.length);
    lines.all.forEach((line, number) => {
      if (!plot.series[number + 1].show) return;
      ctx.strokeStyle = colorOf(line);
      ctx.fillStyle = fillOf(line);
      ctx.lineWidth = 1.5 * ratio;
      line.figures.forEach((figure, index) => {
        if (!isAbove(figure?.mean)) return;
        const x = plot.valToPos(lines.xs[index], "x", true) + step * (number - (lines.all.length - 1) / 2);
        const y = (value) => plot.valToPos(value, "y", true);
        if (figure.low != null && figure.high != null && figure.low < figure.high) {
          const bottom = isAbove(figure.low) ? y(figure.low) : bbox.top + bbox.height;
          const cap = 3.5 * ratio;
          ctx.beginPath();
          ctx.moveTo(x, bottom);
          ctx.lineTo(x, y(figure.high));
          for (const end of isAbove(figure.low) ? [bottom, y(figure.high)] : [y(figure.high)]) {
            ctx.moveTo(x - cap, end);
            ctx.lineTo(x + cap, end);
          }
          ctx.stroke();
        }
        tracePoint(ctx, x, y(figure.mean), POINT_PX * ratio, shapeOf(line));
        ctx.fill();
        ctx.stroke();
      });
    });
    ctx.restore();
  }

  // A disc, a square or a diamond.
  function tracePoint(ctx, x, y, size, shape) {
    ctx.beginPath();
    if (shape === 0) ctx.arc(x, y, size, 0, 2 * Math.PI);
    else if (shape === 1) ctx.rect(x - size, y - size, 2 * size, 2 * size);
    else {
      const far = size * 1.4;
      for (const [right, down] of [[0, -far], [far, 0], [0, far], [-far, 0]]) ctx.lineTo(x + right, y + down);
      ctx.closePath();
    }
  }
})();
