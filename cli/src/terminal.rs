//! Lines for people: aligned, coloured on a terminal only, safe against what a payload may hold.

use anstyle::{AnsiColor, Style};

pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();

/// `text` in `style`.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A text from a payload, cut to `width` and without anything that moves the cursor or turns the line.
pub(crate) fn safe(text: &str, width: usize) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == width - 1 && text.chars().nth(width).is_some() {
            shown.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_cannot_write_to_the_terminal() {
        assert_eq!(safe("a\u{1b}[2Jb", 20), r"a\u{1b}[2Jb");
        assert_eq!(safe("\u{202e}room", 20), r"\u{202e}room");
        assert_eq!(safe("Zoë \"x\"", 20), "Zoë \"x\"");
        assert_eq!(safe("abcdef", 4), "abc…");
        assert_eq!(safe("abcd", 4), "abcd");
    }
}
