(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const make = (tag, values) => Object.assign(document.createElement(tag), values);
  const nameOf = (part) => part.dataset.loss.replace(/ \(baseline\)$/, "");

  // A click on a loss hides it everywhere; a double click, or one with Shift, hides all others.
  const chips = all(".chip"), names = chips.map(nameOf), hidden = new Set();
  const pick = (name, alone) => {
    const isAlone = !hidden.has(name) && hidden.size === names.length - 1;
    if (alone) {
      hidden.clear();
      if (!isAlone) names.filter((other) => other !== name).forEach((other) => hidden.add(other));
    } else if (!hidden.delete(name)) hidden.add(name);
    for (const part of all("[data-loss]:not(.chip)")) part.classList.toggle("off", hidden.has(nameOf(part)));
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
      head.replaceChildren(make("button", { type: "button", textContent: head.textContent, onclick: sort }));
    }
  }

  // Where the pointer, or an arrow key, is on a graph: the values of all curves there.
  const points = (group) => {
    const numbers = (group.querySelector("path[d]")?.getAttribute("d").match(/-?[\d.]+/g) ?? []).map(Number);
    return numbers.flatMap((x, i) => (i % 2 ? [] : [[x, numbers[i + 1]]]));
  };
  const readOut = (svg, output) => {
    const [x0, x1, y0, y1, left, right, bottom, top] = svg.dataset.frame.split(" ").map(Number);
    const curves = all(".curve", svg).filter((group) => group.dataset.loss).map((group) => [group, points(group)]);
    if (!curves.length || "log" in svg.dataset) return;
    let places = [...new Set(curves.flatMap(([, line]) => line.map(([x]) => x)))].sort((a, b) => a - b), at = 0;
    const show = () => {
      const x = x0 + ((places[at] - left) / (right - left)) * (x1 - x0);
      const values = curves.flatMap(([group, line]) => {
        const point = line.find(([place]) => place === places[at]);
        if (!point || group.classList.contains("off")) return [];
        return `${nameOf(group)} ${(y0 + ((point[1] - bottom) / (top - bottom)) * (y1 - y0)).toPrecision(3)}`;
      });
      output.textContent = `at ${+x.toPrecision(3)}: ${values.join(", ")}`;
    };
    svg.tabIndex = 0;
    svg.onpointermove = (event) => {
      const box = svg.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      at = places.reduce((best, place, i) => (Math.abs(place - x) < Math.abs(places[best] - x) ? i : best), 0);
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
    for (const [kind, act] of [["SVG", () => save(drawn(svg), `${name}.svg`)], ["PNG", () => savePng(svg, `${name}.png`)]])
      bar.append(make("button", { type: "button", textContent: kind, title: `Save as ${kind}`, onclick: act }));
    svg.after(output, bar);
    readOut(svg, output);
  }

  // Tables for a paper and for a spreadsheet.
  const copy = async (text, button) => {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  };
  const csv = (table) => all("tr", table).map((row) =>
    [...row.cells].map((cell) => `"${cell.innerText.trim().replace(/\s+/g, " ").replace(/"/g, '""')}"`).join(",")).join("\n");
  for (const bar of all(".table > .tools")) {
    const [latex, table] = [bar.dataset.latex, bar.parentElement.querySelector("table")];
    for (const [kind, text] of [["LaTeX", () => latex], ["CSV", () => csv(table)]]) {
      const button = make("button", { type: "button", textContent: `Copy ${kind}` });
      button.onclick = () => copy(text(), button);
      bar.append(button);
    }
  }
})();
