// The deliveries that this page knows, and their filters.

const ROWS_MAX = 10_000;

export const BECAME = ["stored", "duplicate", "queued", "rejected", "failed"];

export class Rows {
  #rows = new Map();
  #sorted = [];
  #isSorted = true;

  clear() {
    this.#rows.clear();
    this.#sorted = [];
  }

  /** Adds or replaces rows. */
  apply(rows) {
    for (const row of rows) {
      row.text = [row.type, row.provider, row.provider_type, row.room, row.participant, row.name, row.id, row.reason, row.detail]
        .filter(Boolean).join("\n").toLowerCase();
      this.#rows.set(row.n, row);
    }
    this.#isSorted = false;
  }

  get(n) {
    return this.#rows.get(n);
  }

  /** All of them, newest first. */
  all() {
    if (!this.#isSorted) {
      this.#sorted = [...this.#rows.values()].sort((one, other) => other.n - one.n);
      for (const row of this.#sorted.splice(ROWS_MAX)) this.#rows.delete(row.n);
      this.#isSorted = true;
    }
    return this.#sorted;
  }

  /** The rows that match a filter, newest first, and the number of matches per status. */
  filtered(filter) {
    const counts = Object.fromEntries(["all", ...BECAME].map((became) => [became, 0]));
    const takes = matcher(filter);
    const found = this.all().filter((row) => {
      if (!takes(row)) return false;
      counts.all += 1;
      counts[row.became] = (counts[row.became] ?? 0) + 1;
      return !filter.became || row.became === filter.became;
    });
    return { found, counts };
  }

  /** The different values of a field, sorted. */
  values(field) {
    return [...new Set(this.all().map((row) => row[field]).filter(Boolean))].sort();
  }
}

/** A type ending in ".*" matches all types of its family. */
function matcher({ provider, type, room, text }) {
  const family = type?.endsWith(".*") ? type.slice(0, -1) : undefined;
  const words = (text ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return (row) =>
    (!provider || row.provider === provider) &&
    (!type || (family ? row.type?.startsWith(family) : row.type === type)) &&
    (!room || row.room === room) &&
    words.every((word) => row.text.includes(word));
}
