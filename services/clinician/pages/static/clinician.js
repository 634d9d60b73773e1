// The pages work without this. It keeps the focus, announces, sends once, moves by keys, and brings in what is new.
(function () {
  "use strict";

  const said = document.getElementById("said");
  const say = (text) => { said.textContent = ""; said.textContent = text; };

  // A form is sent once; htmx disables the buttons of those that it sends.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("data-hx-post")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
  });

  // A second click while the first is under way sends nothing.
  let sender = null;
  document.addEventListener("htmx:beforeRequest", (event) => {
    const place = event.target.closest("[data-alert]");
    if (!place) return;
    if (place.getAttribute("aria-busy") === "true") event.preventDefault();
    place.setAttribute("aria-busy", "true");
    sender = document.activeElement;
  });

  // After an answer the focus goes to what was answered, in the same row.
  let answered = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const from = event.detail.requestConfig && event.detail.requestConfig.elt;
    const place = from && from.closest("[data-alert]");
    answered = place ? place.dataset.alert : null;
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (answered === null) return;
    focusOn(answered);
    answered = null;
    leaveSoon(document);
  });

  function focusOn(alert) {
    const place = [...document.querySelectorAll("[data-alert]")].find((one) => one.dataset.alert === alert);
    const focus = place && (place.querySelector("[data-focus]") || place);
    if (focus) focus.focus({ preventScroll: true });
  }

  const trouble = (event) => {
    const place = event.target.closest && event.target.closest("[data-alert]");
    if (place) place.removeAttribute("aria-busy");
    say(said.dataset.error);
    setTimeout(() => { if (sender && sender.isConnected) sender.focus(); });
  };
  document.addEventListener("htmx:responseError", trouble);
  document.addEventListener("htmx:sendError", trouble);

  // The button that takes an answer back goes after some seconds, unless somebody is on it.
  function leaveSoon(root) {
    root.querySelectorAll("[data-gone]").forEach((form) => {
      const seconds = Number(form.dataset.gone);
      form.removeAttribute("data-gone");
      const leave = () => {
        if (form.contains(document.activeElement) || form.matches(":hover")) setTimeout(leave, 2000);
        else form.remove();
      };
      setTimeout(leave, seconds * 1000);
    });
  }
  leaveSoon(document);

  // Keys: / to the search, j and k from row to row.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    const search = document.getElementById("q");
    if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
      search.select();
      return;
    }
    if (event.key !== "j" && event.key !== "k") return;
    const rows = [...document.querySelectorAll("[data-episode]")];
    if (!rows.length) return;
    const here = rows.findIndex((one) => one.contains(document.activeElement));
    const next = event.key === "j" ? Math.min(here + 1, rows.length - 1) : Math.max(here - 1, 0);
    event.preventDefault();
    rows[next].querySelector("h3 a").focus();
    rows[next].scrollIntoView({ block: "nearest" });
  });

  // What is new comes in without a reload: rows that nobody is in are replaced, the rest waits for a click.
  const stream = document.body.dataset.stream;
  const list = document.getElementById("caseload");
  if (!stream || !window.EventSource || !window.htmx) return;
  const busy = (place) => place.contains(document.activeElement) || place.querySelector("details[open], [aria-busy=true]");

  async function fetched() {
    const answer = await fetch(location.href, { headers: { "X-Keepwell-Background": "1" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  function offer() {
    if (said.querySelector("button")) return;
    const button = document.createElement("button");
    button.textContent = said.dataset.show;
    button.addEventListener("click", () => location.reload());
    said.textContent = said.dataset.news + " ";
    said.append(button);
  }

  async function refresh() {
    const page = await fetched();
    const fresh = page && page.getElementById("caseload");
    if (!fresh) return;
    const names = (root) => [...root.querySelectorAll("[data-episode]")].map((row) => row.dataset.episode).join("\n");
    if (names(fresh) !== names(list)) {
      if (busy(list) || list.matches(":hover")) { offer(); replace(fresh); return; }
      list.replaceChildren(...fresh.childNodes);
      htmx.process(list);
      leaveSoon(list);
      return;
    }
    replace(fresh);
  }

  // Where the focus is only on what was answered, there is nothing to lose: the new row takes it over.
  const restsOn = (row) => {
    const on = document.activeElement;
    if (!row.contains(on) || !on.matches("[data-focus]") || row.querySelector("details[open], [aria-busy=true]")) return null;
    return on.closest("[data-alert]").dataset.alert;
  };

  function replace(fresh) {
    const old = new Map([...list.querySelectorAll("[data-episode]")].map((row) => [row.dataset.episode, row]));
    fresh.querySelectorAll("[data-episode]").forEach((row) => {
      const was = old.get(row.dataset.episode);
      if (!was) return;
      const rests = restsOn(was);
      if (rests === null && busy(was)) return;
      was.replaceWith(row);
      htmx.process(row);
      leaveSoon(row);
      if (rests !== null) focusOn(rests);
    });
  }

  let waiting = null;
  const soon = (event) => {
    const of = document.body.dataset.of;
    if (of) {
      let heard = null;
      try { heard = JSON.parse(event.data).episode; } catch { /* no matter */ }
      if (heard === of) offer();
      return;
    }
    if (list && waiting === null) waiting = setTimeout(() => { waiting = null; refresh().catch(() => {}); }, 300);
  };
  // A browser opens a stream again that broke off, but gives it up where it was refused, as while the database is away. What
  // came meanwhile nobody tells: the list is fetched once it stands again, and a client's page is offered to be.
  let missed = false;
  let wait = 3000;
  function listen() {
    const source = new EventSource(stream);
    ["score", "alert", "answer"].forEach((kind) => source.addEventListener(kind, soon));
    source.addEventListener("open", () => {
      wait = 3000;
      if (!missed) return;
      missed = false;
      soon({ data: JSON.stringify({ episode: document.body.dataset.of }) });
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      missed = true;
      setTimeout(listen, wait);
      wait = Math.min(2 * wait, 60000);
    });
  }
  listen();
})();
