(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const make = (tag, values) => Object.assign(document.createElement(tag), values);
  const button = (textContent, act, more = {}) => {
    const made = make("button", { type: "button", textContent, ...more });
    made.onclick = () => act(made);
    return made;
  };
  const nameOf = (part) => part.dataset.loss.replace(/ \(baseline\)$/, "");

  // A click on a loss hides it everywhere; a double click, or one with Shift, hides all others.
  const chips = all(".chip"), names = chips.map(nameOf), hidden = new Set();
  const hide = (root) => all("[data-loss]:not(.chip)", root).forEach((part) => part.classList.toggle("off", hidden.has(nameOf(part))));
  const pick = (name, alone) => {
    const isAlone = !hidden.has(name) && hidden.size === names.length - 1;
    if (alone) {
      hidden.clear();
      if (!isAlone) names.filter((other) => other !== name).forEach((other) => hidden.add(other));
    } else if (!hidden.delete(name)) hidden.add(name);
    hide(document);
    for (const chip of chips) chip.setAttribute("aria-pressed", !hidden.has(nameOf(chip)));
  };
  for (const chip of chips) {
    chip.setAttribute("role", "button");
    chip.setAttribute("aria-pressed", true);
    chip.tabIndex = 0;
    chip.title = "Click: hide or show. Double click, or with Shift: this one alone.";
    chip.onclick = (event) => pick(nameOf(chip), event.shiftKey);
    chip.ondblclick = () => pick(nameOf(chip), true);
    chip.onkeydown = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      pick(nameOf(chip), event.shiftKey);
    };
  }

  // A click on a column's head sorts by it, another one the other way.
  const compare = (a, b) => (a - b) || String(a).localeCompare(b);
  for (const table of all(".verdicts, .claims")) {
    const heads = all("th", table).filter((head) => head.textContent);
    for (const head of heads) {
      const value = (row) => row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].textContent;
      const sort = () => {
        const falls = head.ariaSort !== "descending";
        const rows = [...table.tBodies[0].rows].sort((a, b) => compare(value(a), value(b)));
        table.tBodies[0].append(...(falls ? rows.reverse() : rows));
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      };
      head.replaceChildren(button(head.textContent, sort));
    }
  }

  // Another metric in the table: what it is for each loss, without a verdict.
  for (const table of all(".verdicts")) {
    const names = JSON.parse(table.dataset.metrics), rows = all("tbody tr", table).map((row) => [row, row.innerHTML]);
    const label = make("label", { textContent: "metric " }), select = make("select"), head = table.querySelector("th.mean button");
    const caption = table.parentElement.querySelector(".caption"), judged = caption.textContent;
    const write = (cell, text, small, sorted, name) => {
      cell.replaceChildren(`${text} `, ...(small ? [make("small", { textContent: small })] : []));
      Object.assign(cell.dataset, { value: sorted, name });
    };
    select.append(...names.map(([textContent], value) => make("option", { value, textContent })));
    select.onchange = () => {
      const [name, way] = names[select.value], other = select.value !== "0";
      head.textContent = name;
      table.closest(".pictures").classList.toggle("picked", other);
      const rest = `lossbench compare --metric ${name.replace(" %", "")} --html FILE judges and draws it.`;
      caption.textContent = other ? `${name} on the test split${way}; not judged: each interval is of its own. ${rest}` : judged;
      for (const [row, whole] of rows) {
        row.innerHTML = whole;
        if (!other) continue;
        const [mean, half, gap, ends, value, gain] = JSON.parse(row.dataset.metrics)[select.value - 1], [, verdict, ...cells] = row.cells;
        verdict.textContent = "not judged";
        write(cells[0], mean, half, value, head.textContent);
        write(cells[1], gap, ends && `(${ends})`, gain, gap && "difference");
        cells[2].textContent = "";
      }
    };
    label.append(select);
    if (names.length > 1) table.parentElement.querySelector(".tools").append(label);
  }

  // An axis: from a place in the picture to a value, and back, by its logarithm where that is asked for.
  const axes = (svg) => {
    const [x0, x1, y0, y1, left, right, bottom, top] = svg.dataset.frame.split(" ").map(Number);
    return { x: { low: x0, high: x1, from: left, to: right, log: "log" in svg.dataset }, y: { low: y0, high: y1, from: bottom, to: top } };
  };
  const written = (value) => (Math.abs(value) < 1000 ? value.toPrecision(3) : Math.round(value).toLocaleString("en"));
  const turn = (axis) => (axis.log ? Math.log10 : Number);
  const placeOf = (axis, value) => {
    const [at, low, high] = [Math.max(value, axis.log ? axis.low : -Infinity), axis.low, axis.high].map(turn(axis));
    return axis.from + ((at - low) / (high - low)) * (axis.to - axis.from);
  };
  const valueOf = (axis, place) => {
    const [low, high] = [axis.low, axis.high].map(turn(axis)), at = low + ((place - axis.from) / (axis.to - axis.from)) * (high - low);
    return axis.log ? 10 ** at : at;
  };
  const numbersOf = (path) => (path?.getAttribute("d").match(/-?[\d.]+/g) ?? []).map(Number);
  const points = (group) => {
    const numbers = numbersOf(group.querySelector("path[d]"));
    return numbers.flatMap((x, i) => (i % 2 ? [] : [[x, numbers[i + 1]]]));
  };

  // The same picture on axes of logarithms, and back.
  const offerLogs = (svg, bar, moved) => {
    const whole = svg.innerHTML, drawn = axes(svg), places = all(".curve", svg).flatMap(points), chosen = new Set();
    const stretch = (name, axis) => {
      const ticks = all(`.${name}-tick`, svg), digits = axis.high < 10 * axis.low ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : [1, 2, 5];
      for (let power = 10 ** Math.floor(Math.log10(axis.low)); power < axis.high; power *= 10)
        for (const value of digits.map((digit) => digit * power).filter((value) => value >= axis.low && value <= axis.high)) {
          const tick = ticks[0].cloneNode(true), place = placeOf(axis, value), text = tick.querySelector("text");
          text.textContent = +value.toPrecision(1);
          text.setAttribute(name, place + (name === "y" ? 3.4 : 0));
          const ends = name === "x" ? [place, drawn.y.from, place, drawn.y.to] : [drawn.x.from, place, drawn.x.to, place];
          tick.querySelector("path").setAttribute("d", `M ${ends.join(" ")}`);
          ticks[0].before(tick);
        }
      ticks.forEach((tick) => tick.remove());
    };
    const shift = (path, height = 0) => {
      let i = 0;
      const move = (text) => (i++ % 2 ? moved.y(+text + height) - height : moved.x(+text)).toFixed(1);
      path.setAttribute("d", path.getAttribute("d").replace(/-?[\d.]+/g, move));
    };
    const redraw = () => {
      svg.innerHTML = whole;
      for (const [i, name] of ["x", "y"].entries()) {
        const axis = drawn[name], low = Math.max(axis.low, 0.9 * Math.min(...places.map((place) => valueOf(axis, place[i]))));
        const log = { ...axis, low, log: true };
        moved[name] = chosen.has(name) ? (place) => placeOf(log, valueOf(axis, place)) : Number;
        if (chosen.has(name)) stretch(name, log);
      }
      if (!chosen.size) return hide(svg);
      all(".curve path[clip-path], .part path[clip-path]", svg).forEach((path) => shift(path));
      all(".part > defs:has(+ [clip-path]) path", svg).forEach((path) => shift(path, svg.viewBox.baseVal.height));
      for (const dot of all(".curve [clip-path] use", svg)) for (const name of ["x", "y"]) dot.setAttribute(name, moved[name](+dot.getAttribute(name)));
      for (const path of all(".part > path:not([clip-path])", svg)) {
        const [x, y, ...end] = numbersOf(path);
        path.setAttribute("d", `M ${moved.x(x)} ${moved.y(y)} ${end.join(" ")}`);
      }
      hide(svg);
    };
    for (const [i, name] of ["x", "y"].entries()) {
      const axis = drawn[name], lowest = Math.min(...places.map((place) => valueOf(axis, place[i])));
      const isPositive = lowest > (axis.high - axis.low) / 1000; // places are rounded
      if (axis.log || !places.length || ("names" in svg.dataset && name === "x") || !isPositive) continue;
      const choose = (made) => {
        if (!chosen.delete(name)) chosen.add(name);
        made.ariaPressed = String(chosen.has(name));
        redraw();
      };
      bar.append(button(`log ${name}`, choose, { ariaPressed: "false" }));
    }
  };

  // Where the pointer, or an arrow key, is on a graph: the values of all curves there.
  const readOut = (svg, output, moved) => {
    const drawn = axes(svg), curves = all(".curve", svg).filter((group) => group.dataset.loss).map((group) => [nameOf(group), points(group)]);
    if (!curves.length) return;
    let places = [...new Set(curves.flatMap(([, line]) => line.map(([x]) => x)))].sort((a, b) => a - b), at = 0;
    const show = () => {
      const values = curves.flatMap(([name, line]) => {
        const point = line.find(([place]) => place === places[at]);
        if (!point || hidden.has(name)) return [];
        return `${name} ${written(valueOf(drawn.y, point[1]))}`;
      });
      output.textContent = `at ${+valueOf(drawn.x, places[at]).toPrecision(3)}: ${values.join(", ")}`;
    };
    svg.tabIndex = 0;
    svg.onpointermove = (event) => {
      const box = svg.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const far = (place) => Math.abs(moved.x(place) - x);
      at = places.reduce((best, place, i) => (far(place) < far(places[best]) ? i : best), 0);
      show();
    };
    svg.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      at = Math.min(Math.max(at + step, 0), places.length - 1);
      show();
    };
  };

  // A picture as a file, in the colours of paper and without what is hidden.
  const save = (href, name) => make("a", { href, download: name }).click();
  const drawn = (svg) => {
    const copy = svg.cloneNode(true), { width, height } = svg.viewBox.baseVal;
    copy.style.cssText = "color: #0a0b0c; background: #fff; font-family: sans-serif";
    copy.setAttribute("width", 4 * width);
    copy.setAttribute("height", 4 * height);
    all(".off", copy).forEach((part) => part.remove());
    return `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  };
  const savePng = (svg, name) => {
    const picture = new Image();
    picture.onload = () => {
      const canvas = make("canvas", { width: picture.width, height: picture.height }), pen = canvas.getContext("2d");
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(picture, 0, 0);
      save(canvas.toDataURL(), name);
    };
    picture.src = drawn(svg);
  };
  for (const svg of all("figure > svg")) {
    const output = make("output", { className: "soft" }), bar = make("span", { className: "tools" });
    const name = svg.getAttribute("aria-label").trim().replace(/[^\w.-]+/g, "-").toLowerCase();
    bar.append(button("SVG", () => save(drawn(svg), `${name}.svg`), { title: "Save as SVG" }));
    bar.append(button("PNG", () => savePng(svg, `${name}.png`), { title: "Save as PNG" }));
    svg.after(output, bar);
    const moved = { x: Number, y: Number };
    readOut(svg, output, moved);
    offerLogs(svg, bar, moved);
  }

  // Tables for a paper and for a spreadsheet.
  const copying = (words, text) => button(words, async (made) => {
    await navigator.clipboard.writeText(text());
    made.textContent = "copied";
  });
  const csv = (table) => all("tr", table).map((row) =>
    [...row.cells].map((cell) => `"${cell.innerText.trim().replace(/\s+/g, " ").replace(/"/g, '""')}"`).join(",")).join("\n");
  for (const bar of all(".table > .tools")) {
    const table = bar.parentElement.querySelector("table");
    bar.append(copying("Copy LaTeX", () => bar.dataset.latex), copying("Copy CSV", () => csv(table)));
  }
  for (const text of all("pre.copied")) {
    const bar = make("p", { className: "tools" });
    bar.append(copying("Copy", () => text.textContent));
    text.after(bar);
  }
})();
