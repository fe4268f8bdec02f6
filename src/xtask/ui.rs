//! What a person sees: colours on a terminal alone, and one line a step.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

/// Bold, on a terminal.
pub(crate) fn bold(text: &str) -> String {
    paint("1", text)
}

/// Green, on a terminal.
pub(crate) fn green(text: &str) -> String {
    paint("32", text)
}

/// Red, on a terminal.
pub(crate) fn red(text: &str) -> String {
    paint("31", text)
}

/// Grey, on a terminal.
pub(crate) fn dim(text: &str) -> String {
    paint("2", text)
}

fn paint(code: &str, text: &str) -> String {
    let plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    if plain { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
}

/// A headline.
pub(crate) fn title(text: &str) {
    println!("\n{}", bold(text));
}

/// Does one step of many, saying which, how it went and how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    print!("  {what} … ");
    // Standard output that is gone is no reason to stop working.
    let _ = std::io::stdout().flush();
    let start = Instant::now();
    let result = work();
    let seconds = dim(&format!("{:.1} s", start.elapsed().as_secs_f64()));
    match &result {
        Ok(_) => println!("{} {seconds}", green("done")),
        Err(_) => println!("{} {seconds}", red("failed")),
    }
    result
}
