// Puts what is older below what is there.  Without it the link leads to a page of its own.
(function () {
  "use strict";
  const older = document.getElementById("older");
  if (!older) return;

  older.addEventListener("click", async (event) => {
    const link = event.target.closest("a.load");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.dataset.asked) return;
    link.dataset.asked = "yes";
    try {
      const answer = await fetch(link.href + "&part=1", {
        headers: { "X-Requested-With": "XMLHttpRequest" },
        credentials: "same-origin",
        signal: AbortSignal.timeout ? AbortSignal.timeout(60000) : undefined,
      });
      if (!answer.ok) throw new Error(String(answer.status));
      const place = link.closest(".more");
      place.insertAdjacentHTML("beforebegin", await answer.text());
      const first = place.nextElementSibling;
      const before = place.previousElementSibling;
      place.remove();
      const next = older.querySelector("a.load") || before || first;
      if (!next.hasAttribute("href")) next.tabIndex = -1;
      next.focus({ preventScroll: true }); // who uses a keyboard stays where the list grew
    } catch (error) {
      location.assign(link.href); // the page of its own says what is wrong
    }
  });
})();
