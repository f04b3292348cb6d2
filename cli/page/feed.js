// The server-sent events of /api/live. The browser reconnects by itself, and the server goes on where it was.

/** Calls `on.about`, `on.rows`, `on.caughtUp` and `on.state` ("live", "catching up", "reconnecting") as they come. */
export function follow(on) {
  const source = new EventSource("/api/live");
  const read = (name, take) => source.addEventListener(name, (message) => take(JSON.parse(message.data)));
  source.addEventListener("open", () => on.state("catching up"));
  source.addEventListener("error", () => on.state("reconnecting"));
  read("about", on.about);
  read("rows", on.rows);
  read("caught-up", () => {
    on.state("live");
    on.caughtUp();
  });
}
