// The server-sent events of /api/live. The browser reconnects by itself, and the server resumes.

const RETRY_MS = 2000;

/** Calls `on.about`, `on.rows`, `on.caughtUp` and `on.state` ("live", "catching up", "reconnecting"). */
export function follow(on) {
  const source = new EventSource("/api/live");
  const read = (name, take) => source.addEventListener(name, (message) => take(JSON.parse(message.data)));
  source.addEventListener("open", () => on.state("catching up"));
  source.addEventListener("error", () => {
    on.state("reconnecting");
    // The browser does not reconnect after a fatal error or without a network.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(on), RETRY_MS);
  });
  read("about", on.about);
  read("rows", on.rows);
  read("caught-up", () => {
    on.state("live");
    on.caughtUp();
  });
}
