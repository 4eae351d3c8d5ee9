// Asks for news while the page is seen, and shows what has changed.  Without it the page works too.
(function () {
  "use strict";
  const part = document.getElementById("part");
  const sentence = document.getElementById("sentence");
  const heard = document.getElementById("heard");
  const every = Number(part.dataset.every) * 1000;
  const most = Math.max(every, 60000); // ms between two looks
  let wait = every;
  let timer = null;
  let shown = null;
  let seal = '"' + part.dataset.seal + '"'; // of what the page shows
  let lost = null; // since when OMERO.web does not answer
  let last = heard.hidden ? "" : heard.textContent; // what the server said of DropBox

  // Of the page's own address only the search: another part of it may log somebody in.
  function address() {
    const given = new URLSearchParams(location.search);
    const search = new URLSearchParams();
    for (const name of ["q", "show"]) if (given.get(name)) search.set(name, given.get(name));
    return part.dataset.part + (search.toString() ? "?" + search : "");
  }

  function say(element, text) {
    if (element.textContent !== text) {
      element.textContent = text; // a screen reader reads what has changed, and only that
    }
    element.hidden = !text;
  }

  // The server's HTML replaces ours; what the user has opened or chosen stays.
  function replace(html) {
    const open = [...part.querySelectorAll("details[open]")].map((one) => one.id);
    const focus = part.contains(document.activeElement) ? document.activeElement : null;
    const summaryOf = focus && focus.tagName === "SUMMARY" ? focus.parentElement.id : "";
    const id = focus ? focus.id : "";
    const href = focus ? focus.getAttribute("href") : null;
    part.innerHTML = html;
    open.forEach((one) => {
      const details = document.getElementById(one);
      if (details) details.open = true;
    });
    let next = null;
    if (summaryOf) next = document.querySelector("#" + CSS.escape(summaryOf) + " > summary");
    else if (id) next = document.getElementById(id);
    else if (href) next = part.querySelector('a[href="' + CSS.escape(href) + '"]');
    if (next) next.focus({ preventScroll: true });
    else if (focus) document.getElementById("main").focus({ preventScroll: true });
  }

  // A signal that comes after so many ms; never in a browser that has none.
  function after(ms) {
    return AbortSignal.timeout ? AbortSignal.timeout(ms) : new AbortController().signal;
  }

  function away(since) {
    lost = lost || since;
    say(heard, "OMERO.web has not answered since " + lost.toLocaleTimeString() + ".");
  }

  // What was asked for has its answer, or needs none any more: then nothing is waited for.
  function answered() {
    const waits = document.getElementById("waits");
    if (waits && !part.querySelector(".asked")) waits.remove();
  }

  async function look() {
    const began = new Date();
    let pending = true;
    // It is said while an answer may still come: OMERO may only be slow.
    after(10000).addEventListener("abort", () => {
      if (pending) away(began);
    });
    try {
      const answer = await fetch(address(), {
        headers: { "X-Requested-With": "XMLHttpRequest", "If-None-Match": seal },
        credentials: "same-origin",
        cache: "no-store",
        signal: after(30000),
      });
      pending = false;
      if (answer.status === 403) {
        say(heard, "You are logged out. Reload the page to log in again.");
        return false;
      }
      if (answer.status === 304) {
        lost = null;
        say(heard, last);
        answered();
        return true;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const news = await answer.json();
      lost = null;
      if (news.who !== part.dataset.who) {
        say(heard, "Another user is logged in now. Reload the page to see that user's drops.");
        return false;
      }
      last = news.heard;
      say(sentence, news.sentence);
      say(heard, last);
      if (news.html !== shown) replace(news.html);
      answered();
      shown = news.html;
      seal = answer.headers.get("ETag") || "";
    } catch (error) {
      pending = false;
      away(began);
    }
    return true;
  }

  async function round() {
    timer = null;
    if (document.hidden) return;
    const began = performance.now();
    const more = await look();
    // Who answers slowly, or not at all, is asked less: there may be hundreds of open pages.
    wait = lost ? Math.min(2 * wait, most) : Math.min(most, Math.max(every, performance.now() - began));
    if (more && timer === null && !document.hidden) timer = setTimeout(round, wait);
  }

  document.addEventListener("visibilitychange", () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (!document.hidden) round();
  });
  if (!document.hidden) timer = setTimeout(round, every);
})();
