//! What really happened, told once at the end as one JSON line.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};

/// Tells `figures` of the element `name`, on stdout or at the end of the file `to`.
///
/// One write a line, so that lines of several elements and processes stay whole.
pub(crate) fn tell(to: Option<&str>, name: &str, figures: &[(&str, u64)]) -> io::Result<()> {
    let mut line = format!("{{\"element\":\"{}\"", name.escape_default());
    for (key, value) in figures {
        // Writing to a string cannot fail.
        let _ = write!(line, ",\"{key}\":{value}");
    }
    line.push_str("}\n");
    match to {
        Some(path) => OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes()),
        None => {
            let mut out = io::stdout().lock();
            out.write_all(line.as_bytes())?;
            out.flush()
        }
    }
}
