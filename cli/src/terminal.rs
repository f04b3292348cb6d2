//! Terminal output: aligned columns, color on terminals only, payload text escaped.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();

/// `text` in `style`.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints a line to standard output. Unlike `println!` it does not panic if the pipe is closed.
pub(crate) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(anstream::stdout(), "{text}")
}

/// Whether the output goes to a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The number of columns for a table: at least 60, because no table is narrower.
pub(crate) fn columns() -> usize {
    width().max(60)
}

/// The number of columns: the terminal's, `COLUMNS`, or 100.
pub(crate) fn width() -> usize {
    let set = || std::env::var("COLUMNS").ok()?.parse().ok();
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let found = if is_terminal() { terminal().or_else(set) } else { set() };
    found.unwrap_or(100).clamp(24, 250)
}

/// A string from a payload, cut to `width`, with control and bidirectional characters escaped.
pub(crate) fn safe(text: &str, width: usize) -> String {
    let mut shown = String::new();
    for (count, cluster) in text.graphemes(true).enumerate() {
        if count == width - 1 && text.graphemes(true).nth(width).is_some() {
            shown.push('…');
            break;
        }
        if is_emoji(cluster) {
            shown.push_str(cluster);
            continue;
        }
        for c in cluster.chars() {
            match c {
                '"' | '\'' | '\\' => shown.push(c),
                _ => shown.extend(c.escape_debug()),
            }
        }
    }
    shown
}

/// Whether a cluster of several characters is one emoji, such as a family. Its joiners are no hidden text.
fn is_emoji(cluster: &str) -> bool {
    const JOINER: char = '\u{200d}';
    const AS_EMOJI: char = '\u{fe0f}';
    let is_picture = |c: char| matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}');
    cluster.starts_with(is_picture)
        && !cluster.ends_with(JOINER)
        && cluster.chars().all(|c| is_picture(c) || c == JOINER || c == AS_EMOJI)
}

/// An escaped string that fills exactly `width` columns.
pub(crate) fn column(text: &str, width: usize) -> String {
    let mut shown = safe(text, width + 1);
    if shown.width() > width {
        let mut used = 0;
        let fits = |cluster: &&str| {
            used += cluster.width();
            used < width
        };
        shown = shown.graphemes(true).take_while(fits).collect::<String>() + "…";
    }
    let missing = width.saturating_sub(shown.width());
    shown + &" ".repeat(missing)
}

/// A time in the local time zone.
pub(crate) fn local(time: Timestamp, format: &str) -> String {
    time.to_zoned(TimeZone::system()).strftime(format).to_string()
}

/// A duration in at most two units: `38 s`, `12 min`, `1 h 5 min`, `3 d 2 h`.
pub(crate) fn length(duration: SignedDuration) -> String {
    let duration = duration.abs();
    let seconds = duration.as_secs();
    let two = |large: i64, unit: &str, small: i64, sub: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {sub}"),
    };
    match seconds {
        0 if duration.as_millis() > 0 => format!("{} ms", duration.as_millis()),
        0..60 => format!("{seconds} s"),
        60..600 => two(seconds / 60, "min", seconds % 60, "s"),
        600..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_cannot_write_to_the_terminal() {
        assert_eq!(safe("a\u{1b}[2Jb", 20), r"a\u{1b}[2Jb");
        assert_eq!(safe("\u{202e}room", 20), r"\u{202e}room");
        assert_eq!(safe("a\u{200d}b ❤\u{200d}", 30), r"a\u{200d}b ❤\u{200d}", "a joiner that joins no emoji");
        assert_eq!(safe("Zoë \"x\"", 20), "Zoë \"x\"");
        assert_eq!(safe("abcdef", 4), "abc…");
        assert_eq!(safe("abcd", 4), "abcd");
    }

    #[test]
    fn a_column_has_its_width_for_any_text() {
        for text in ["", "abc", "abcdefghij", "部屋部屋部屋", "\u{1b}\u{1b}\u{1b}", "a部屋部屋"] {
            assert_eq!(column(text, 6).width(), 6, "{text:?} became {:?}", column(text, 6));
        }
        assert_eq!(column("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", 6), "👩‍👩‍👧👩‍👩‍👧… ");
        assert_eq!(column("abcdef", 6), "abcdef");
        assert_eq!(column("abcdefg", 6), "abcde…");
    }

    #[test]
    fn durations_have_at_most_two_units() {
        let shown = |seconds| length(SignedDuration::from_secs(seconds));
        assert_eq!(shown(0), "0 s");
        assert_eq!(length(SignedDuration::from_millis(318)), "318 ms");
        assert_eq!(
            [shown(38), shown(61), shown(720), shown(3_900)],
            ["38 s", "1 min 1 s", "12 min", "1 h 5 min"]
        );
        assert_eq!([shown(7_200), shown(266_400)], ["2 h", "3 d 2 h"]);
    }
}
