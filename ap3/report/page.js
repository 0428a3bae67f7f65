// Behaviour of the report. Without it the page still shows every figure and table.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const save = (blob, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

// Figures: chosen by their labels, enlarged by a click.
const figures = all("#figures figure");
const labels = new Map(figures.map((figure) => [figure, JSON.parse(figure.dataset.labels)]));
const chooseFigures = () => {
  const wanted = all("#figures select").filter((select) => select.value);
  figures.forEach((figure) => {
    const own = labels.get(figure);
    figure.hidden = !wanted.every((select) => (own[select.dataset.label] ?? []).includes(select.value));
  });
  const shown = figures.filter((figure) => !figure.hidden).length;
  document.querySelector("#figures output").value = `${shown} of ${figures.length} figures`;
};
all("#figures select").forEach((select) => select.addEventListener("change", chooseFigures));
chooseFigures();

const large = document.getElementById("large");
all(".picture").forEach((button) =>
  button.addEventListener("click", () => {
    large.querySelector("img").src = button.querySelector("img").src;
    large.showModal();
  }),
);
large.addEventListener("click", () => large.close());

// Tables: rows filtered by menus and by words, sorted by a heading.
const key = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.key === undefined ? cell.textContent : parseFloat(cell.dataset.key);
};
const compare = (one, two) => {
  if (typeof one === "string") return one.localeCompare(two);
  if (Number.isNaN(one) || Number.isNaN(two)) return Number.isNaN(one) - Number.isNaN(two);
  return one - two || 0;
};

all(".sheet").forEach((sheet) => {
  const rows = all("tbody tr", sheet);
  const body = sheet.querySelector("tbody");
  const menus = all("select", sheet);
  const words = sheet.querySelector("input");

  menus.forEach((menu) => {
    const values = [...new Set(rows.map((row) => row.cells[menu.dataset.column].textContent))];
    menu.add(new Option("all", ""));
    values.forEach((value) => menu.add(new Option(value, value)));
    if (values.includes(menu.dataset.first)) menu.value = menu.dataset.first;
  });

  const choose = () => {
    const sought = words.value.toLowerCase();
    rows.forEach((row) => {
      const fits = menus.every((menu) => !menu.value || row.cells[menu.dataset.column].textContent === menu.value);
      row.hidden = !(fits && row.textContent.toLowerCase().includes(sought));
    });
    // A column that holds one value only need not be seen.
    menus.forEach((menu) => {
      all("tr", sheet).forEach((row) => (row.cells[menu.dataset.column].hidden = Boolean(menu.value)));
    });
    const shown = rows.filter((row) => !row.hidden).length;
    sheet.querySelector("output").value = `${shown} of ${rows.length} rows`;
  };
  menus.forEach((menu) => menu.addEventListener("change", choose));
  words.addEventListener("input", choose);
  sheet.querySelector("[data-csv]").addEventListener("click", () => {
    const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const heading = all("th", sheet).map((cell) => cell.dataset.name);
    const chosen = rows.filter((row) => !row.hidden).map((row) => [...row.cells].map((cell) => cell.dataset.raw ?? cell.dataset.key ?? cell.textContent));
    const lines = [heading, ...chosen].map((cells) => cells.map(quoted).join(","));
    save(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }), `${sheet.id}.csv`);
  });
  sheet.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  choose();

  all("th", sheet).forEach((heading, column) =>
    heading.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      all("th", sheet).forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((one, two) => compare(key(one, column), key(two, column)) * (down ? -1 : 1));
      body.append(...rows);
    }),
  );
});
