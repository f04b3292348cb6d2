// The server-sent events of /api/live. The browser reconnects by itself, and the server goes on where it was.

const AGAIN_MS = 2000;

/** Calls `on.about`, `on.rows`, `on.caughtUp` and `on.state` ("live", "catching up", "reconnecting") as they come. */
export function follow(on) {
  const source = new EventSource("/api/live");
  const read = (name, take) => source.addEventListener(name, (message) => take(JSON.parse(message.data)));
  source.addEventListener("open", () => on.state("catching up"));
  source.addEventListener("error", () => {
    on.state("reconnecting");
    // A browser that is stopped, or that has no network, does not try again.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(on), AGAIN_MS);
  });
  read("about", on.about);
  read("rows", on.rows);
  read("caught-up", () => {
    on.state("live");
    on.caughtUp();
  });
}
