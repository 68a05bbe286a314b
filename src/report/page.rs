//! Lines of a page: words with styles, wrapped to a width, with hanging indents and columns. Bytes
//! come out; who shows them decides about width and colour.

use anstyle::{AnsiColor, Style};

/// How a piece of text looks where colour is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As everything else.
    Plain,
    /// A heading or a name.
    Strong,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// What needs attention.
    Doubtful,
    /// What may be skipped.
    Dim,
}

/// Text in pieces.
#[derive(Debug, Default, Clone)]
pub struct Text {
    words: Vec<(Look, String)>,
}

/// How a page is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Columns; at least 40 are used.
    pub width: usize,
    /// Whether to colour by ANSI escape sequences.
    pub colour: bool,
}

/// A page that grows downwards.
#[derive(Debug)]
pub struct Page {
    bytes: String,
    layout: Layout,
}

impl Default for Layout {
    /// For files and pipes.
    fn default() -> Self {
        Self {
            width: 100,
            colour: false,
        }
    }
}

impl Look {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Doubtful => AnsiColor::Yellow.on_default().bold(),
            Self::Dim => Style::new().dimmed(),
        }
    }
}

impl Text {
    /// Text of one look.
    pub fn new(look: Look, text: &str) -> Self {
        Self::default().and(look, text)
    }

    /// The same, with more text after a space.
    #[must_use]
    pub fn and(mut self, look: Look, text: &str) -> Self {
        if !text.is_empty() {
            self.words
                .extend(text.split(' ').map(|word| (look, word.to_owned())));
        }
        self
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(Look::Plain, text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(Look::Plain, &text)
    }
}

impl Page {
    /// An empty page.
    pub fn new(layout: Layout) -> Self {
        Self {
            bytes: String::new(),
            layout: Layout {
                width: layout.width.max(40),
                ..layout
            },
        }
    }

    /// What stands on it.
    pub fn finish(self) -> String {
        self.bytes
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.bytes.push('\n');
    }

    /// A heading after an empty line.
    pub fn heading(&mut self, text: &str) {
        self.gap();
        self.paragraph(0, 0, &Text::new(Look::Strong, text));
    }

    /// Text from column `indent`, its further lines from `hang` columns further right.
    pub fn paragraph(&mut self, indent: usize, hang: usize, text: &Text) {
        self.bytes.push_str(&" ".repeat(indent));
        self.flow(indent, indent + hang, text);
    }

    /// A label in a column of `column` characters from `indent`, and text beside it.
    pub fn row(&mut self, indent: usize, label: (Look, &str), column: usize, text: &Text) {
        let (look, label) = label;
        self.bytes.push_str(&" ".repeat(indent));
        self.styled(look, label);
        let used = label.chars().count();
        let start = indent + column + 2;
        if used > column {
            self.bytes.push('\n');
            self.bytes.push_str(&" ".repeat(start));
        } else if !text.words.is_empty() {
            self.bytes.push_str(&" ".repeat(column + 2 - used));
        }
        self.flow(start, start, text);
    }

    /// Lines as they stand, indented.
    pub fn verbatim(&mut self, indent: usize, look: Look, text: &str) {
        for line in text.lines() {
            self.bytes.push_str(&" ".repeat(indent));
            self.styled(look, line);
            self.bytes.push('\n');
        }
    }

    /// Words from `column` on, continued at `hang`. A word that fits nowhere stands alone.
    fn flow(&mut self, column: usize, hang: usize, text: &Text) {
        let mut at = column;
        let mut run: Option<(Look, String)> = None;
        let mut fresh = true;
        for (look, word) in &text.words {
            let length = word.chars().count();
            let broken = !fresh && at + 1 + length > self.layout.width;
            let before = match (fresh, broken) {
                (true, _) => String::new(),
                (false, true) => format!("\n{}", " ".repeat(hang)),
                (false, false) => " ".to_owned(),
            };
            at = if broken { hang } else { at + before.len() } + length;
            fresh = false;
            match &mut run {
                Some((current, pending)) if *current == *look && !broken => {
                    pending.push_str(&before);
                    pending.push_str(word);
                }
                _ => {
                    if let Some((current, pending)) = run.take() {
                        self.styled(current, &pending);
                    }
                    self.bytes.push_str(&before);
                    run = Some((*look, word.clone()));
                }
            }
        }
        if let Some((current, pending)) = run {
            self.styled(current, &pending);
        }
        self.bytes.push('\n');
    }

    fn styled(&mut self, look: Look, text: &str) {
        use std::fmt::Write as _;

        if self.layout.colour && look != Look::Plain {
            let style = look.style();
            // Writing to a String cannot fail.
            let _ = write!(self.bytes, "{style}{text}{style:#}");
        } else {
            self.bytes.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrow(colour: bool) -> Layout {
        Layout { width: 40, colour }
    }

    #[test]
    fn words_wrap_under_their_own_column() {
        let mut page = Page::new(narrow(false));
        page.row(
            2,
            (Look::Plain, "a"),
            4,
            &"one two three four five six seven eight".into(),
        );
        page.row(2, (Look::Plain, "longer"), 4, &"five".into());
        insta::assert_snapshot!(page.finish(), @r#"
    a     one two three four five six
          seven eight
    longer
          five
    "#);
    }

    #[test]
    fn colour_changes_no_letter() {
        let write = |colour| {
            let mut page = Page::new(narrow(colour));
            page.heading("Heading");
            page.paragraph(
                0,
                2,
                &Text::new(Look::Bad, "differs").and(Look::Dim, "in all of it"),
            );
            page.finish()
        };
        let coloured = write(true);
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(
            anstream::adapter::strip_str(&coloured).to_string(),
            write(false)
        );
    }
}
