// Keys for reviewers. They move, choose and focus; none decides. Off with the box on the page.
(() => {
  "use strict";
  const box = document.querySelector("[data-keys]");
  if (!box) return;
  const kept = "agentops-keys";
  box.checked = localStorage.getItem(kept) !== "off";
  box.addEventListener("change", () => localStorage.setItem(kept, box.checked ? "on" : "off"));
  const rows = [...document.querySelectorAll("[data-row]")];
  const here = () => rows.findIndex((row) => row.contains(document.activeElement));
  const go = (index) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (row) row.querySelector("a").focus();
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (!box.checked || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = rows[here()];
    if (event.key === "j" && rows.length) go(here() + 1);
    else if (event.key === "k" && rows.length) go(here() - 1);
    else if (event.key === "x" && row && row.querySelector("input")) row.querySelector("input").click();
    else {
      const target = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key);
      if (!target) return;
      const part = target.closest("details");
      if (part) part.open = true;
      target.scrollIntoView({ block: "center" });
      target.focus();
    }
    event.preventDefault();
  });
})();
