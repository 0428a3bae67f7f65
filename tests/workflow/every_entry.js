// Chooses every entry of every menu of the explorer in turn, from each reference, absolute and signed. Gives how
// many it tried, and what lies outside the frame of its chart or makes the page wider than the window.
async () => {
  const outside = [];
  const explorer = document.getElementById("explorer");
  const settled = (turn) =>
    new Promise((done) => {
      const look = () => (explorer.dataset.turn !== turn ? done() : setTimeout(look, 5));
      look();
    });
  const choose = async (menu, value) => {
    const turn = explorer.dataset.turn;
    menu.value = value;
    menu.dispatchEvent(new Event("change"));
    await settled(turn);
  };
  const leaves = (inner, outer) =>
    inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
  const check = (what) => {
    if (document.documentElement.scrollWidth > innerWidth) outside.push(`${what}: the page is too wide`);
    for (const svg of document.querySelectorAll("#explorer svg")) {
      const frame = svg.getBoundingClientRect();
      const ground = svg.querySelector(".role-frame > g > .background").getBoundingClientRect();
      if (frame.right > svg.closest(".chart").getBoundingClientRect().right + 1) outside.push(`${what}: a chart is too wide`);
      const marks = [...svg.querySelectorAll(".mark-symbol path, .mark-line path")];
      if (!marks.length && document.getElementById("explorer-empty").hidden) outside.push(`${what}: no mark`);
      if (marks.some((mark) => leaves(mark.getBoundingClientRect(), ground))) outside.push(`${what}: a mark`);
      for (const text of svg.querySelectorAll("text"))
        if (text.textContent.endsWith("…") || (text.textContent && leaves(text.getBoundingClientRect(), frame)))
          outside.push(`${what}: ${text.textContent}`);
    }
  };
  check("at first");
  const menus = [...document.querySelectorAll("#explorer-controls select")];
  const [reference, sign] = ["reference", "sign"].map((name) => menus.find((menu) => menu.name === name));
  const choices = (menu) => [...menu.options].map((option) => option.value);
  let tried = 0;
  for (const from of choices(reference))
    for (const shown of choices(sign)) {
      if (reference.value !== from) await choose(reference, from);
      if (sign.value !== shown) await choose(sign, shown);
      for (const menu of menus.filter((one) => one !== reference && one !== sign)) {
        const [first, ...others] = choices(menu);
        for (const value of others) {
          await choose(menu, value);
          check(`${from} ${shown} ${menu.name} ${value}`);
          tried += 1;
        }
        if (others.length) await choose(menu, first);
      }
    }
  return [tried, outside];
}
