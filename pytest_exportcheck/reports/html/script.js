"use strict";
(() => {
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));

  // A link to something folded opens it.
  const reveal = () => {
    let element = null;
    try { element = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
    if (!element) return;
    for (let each = element; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
    element.scrollIntoView();
    const target = element.matches("details") ? element.querySelector("summary") : element;
    target.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) reveal();
  });

  // Paper has no folds.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details.fails:not([open])");
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of folded) each.open = false; });

  for (const button of all("button[data-open]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", open);
      for (const each of all(button.dataset.open)) if (!each.closest("[hidden]")) each.open = open;
    });
  }

  // Filters: rows, columns and findings that match; a style sheet hides columns and dims cells.
  const form = document.querySelector("form.filters");
  const table = document.querySelector("table.matrix");
  if (form && table) {
    const engines = table.dataset.columns.split(" ");
    const rows = all("tbody tr", table);
    const sheet = document.head.appendChild(document.createElement("style"));
    const words = (text) => (text || "").split(" ");

    const filter = () => {
      const text = form.elements.case.value.trim().toLowerCase();
      const engine = form.elements.engine.value;
      const status = form.elements.status.value;
      const differs = Boolean(form.elements.differs && form.elements.differs.checked);
      const rules = [];
      if (engine) {
        const first = engines.indexOf(engine) + 2;
        const last = engines.lastIndexOf(engine) + 2;
        rules.push(`.matrix thead [data-engine]:not([data-engine="${CSS.escape(engine)}"]) { display: none; }`);
        rules.push(`.matrix tbody td:not(:nth-child(n+${first}):nth-child(-n+${last})) { display: none; }`);
      }
      if (status) rules.push(`.matrix tbody td:not(.${CSS.escape(status)}) { opacity: .3; }`);
      sheet.textContent = rules.join("\n");
      let shown = 0;
      const there = new Set();
      for (const row of rows) {
        const matches = (cell, number) =>
          (!engine || engines[number] === engine) && cell.className && (!status || cell.classList.contains(status));
        const visible =
          row.cells[0].textContent.toLowerCase().includes(text) &&
          (!differs || "differs" in row.dataset) &&
          Array.from(row.cells).slice(1).some(matches);
        row.hidden = !visible;
        if (visible) {
          shown += 1;
          there.add(row.id);
        }
      }
      for (const article of all("article.case")) {
        let left = 0;
        for (const block of all("details.block[data-statuses]", article)) {
          block.hidden =
            (engine && !words(block.dataset.engines).includes(engine)) ||
            (status && !words(block.dataset.statuses).includes(status));
          left += !block.hidden;
        }
        for (const more of all("details.more", article)) more.hidden = !more.querySelector("details.block:not([hidden])");
        article.hidden = !there.has(article.dataset.row) || !left;
      }
      const all_shown = shown === rows.length && !rules.length;
      form.querySelector("output").textContent = all_shown ? "" : `${shown} of ${rows.length} cases`;
    };
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(filter));
    filter(); // a browser may restore what was typed
  }
  reveal();
})();
