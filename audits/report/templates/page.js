for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const number = (text) => {
        const found = /^[+-]?[\d,]*\.?\d+/.exec(text);
        return found ? Number(found[0].replaceAll(",", "")) : Infinity;
      };
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => {
        const [one, other] = [number(value(a)), number(value(b))];
        return one === other ? value(a).localeCompare(value(b)) : one < other ? -1 : 1;
      });
      if (down) rows.reverse();
      body.append(...rows);
    });
  });
}
if (location.protocol === "file:") {
  for (const link of document.querySelectorAll("a[data-file]")) link.href = link.dataset.file;
}
if (window !== window.parent) {
  for (const hint of document.querySelectorAll(".framed")) hint.hidden = false;
}
