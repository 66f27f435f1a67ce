"use strict";
(() => {
  const body = document.querySelector("table.cells tbody");
  const rows = Array.from(body.rows);
  const filter = document.getElementById("filter");
  const selects = Array.from(document.querySelectorAll("select[data-axis]"));
  const toggles = Array.from(document.querySelectorAll("button[data-toggles]"));
  const boxes = new Map(rows.map((row) => [row.dataset.cell, row.querySelector("input")]));
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const drawn = Array.from(document.querySelectorAll("[data-cells]"));
  const cellsOf = new Map(drawn.map((node) => [node, node.dataset.cells.split(" ")]));

  // A row is there if the filters let it be; what is drawn of its cell, if its box is checked too.
  const passes = (row) => {
    const choices = row.dataset.choices.split(" ");
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    return selects.every((select) => !select.value || choices[select.dataset.axis] === select.value)
      && words.every((word) => texts.get(row).includes(word));
  };
  const update = () => {
    const shown = new Set();
    let count = 0;
    for (const row of rows) {
      row.hidden = !passes(row);
      count += !row.hidden;
      if (!row.hidden && boxes.get(row.dataset.cell).checked) shown.add(row.dataset.cell);
    }
    for (const node of drawn) {
      node.classList.toggle("off", !cellsOf.get(node).some((cell) => shown.has(cell)));
    }
    for (const button of toggles) {
      const on = button.dataset.toggles.split(" ").some((cell) => boxes.get(cell).checked);
      button.setAttribute("aria-pressed", String(on));
    }
    document.getElementById("count").textContent = `${count} of ${rows.length} rows`;
  };
  const check = (cells, on) => {
    for (const cell of cells) boxes.get(cell).checked = on;
    update();
  };

  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.localeCompare(b, undefined, { numeric: true });
  };
  const sort = (header) => {
    const down = header.getAttribute("aria-sort") === "ascending";
    const column = header.cellIndex;
    const value = (row) => row.cells[column].dataset.value;
    for (const other of header.parentNode.cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sorted = rows.slice().sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      // What has no value is last, whichever way.
      if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1);
      return down ? compare(y, x) : compare(x, y);
    });
    body.append(...sorted);
  };

  const point = (cells) => {
    document.documentElement.classList.toggle("focusing", cells.length > 0);
    for (const node of drawn) {
      node.classList.toggle("hot", cellsOf.get(node).some((cell) => cells.includes(cell)));
    }
  };
  const pointing = (node, cells) => {
    for (const event of ["mouseenter", "focusin"]) node.addEventListener(event, () => point(cells));
    for (const event of ["mouseleave", "focusout"]) node.addEventListener(event, () => point([]));
  };

  for (const header of document.querySelectorAll("th[aria-sort]")) {
    header.querySelector("button").addEventListener("click", () => sort(header));
  }
  for (const row of rows) {
    boxes.get(row.dataset.cell).addEventListener("change", update);
    pointing(row, [row.dataset.cell]);
  }
  for (const button of toggles) {
    const cells = button.dataset.toggles.split(" ");
    button.addEventListener("click", () => check(cells, button.getAttribute("aria-pressed") === "false"));
    pointing(button, cells);
  }
  filter.addEventListener("input", update);
  for (const select of selects) select.addEventListener("change", update);
  document.getElementById("show-all").addEventListener("click", () => check(boxes.keys(), true));
  document.getElementById("hide-all").addEventListener("click", () => check(boxes.keys(), false));
  document.querySelector(".controls").hidden = false;
  update();
})();
