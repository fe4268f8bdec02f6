//! `stbeacon elements`: whether a table of a box's hardware elements is one, and what it says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::Arg;
use stbeacon_core::elements::{FILE, FILE_ENV, MAX_BYTES, Table};

use crate::cli::{self, Failure};
use crate::files;

const HELP: &str = "\
Check a table of elements as the plug-in would read it in a player, and show the rows in the order in which they are
tried, the built-in ones last.

The table tells the plug-in of decoders, sinks and demultiplexers in hardware where they count: which property, or which
field of one, holds what was decoded, dropped, failed. The file says at its top what may stand in it.

What is wrong is told as FILE:LINE: KEY: what, and what to do about it. Of a file with something wrong in it a player
uses nothing.

Usage: stbeacon elements [OPTIONS] [FILE]

  FILE  [default: $STBEACON_ELEMENTS, or /etc/stbeacon/elements.toml; that one may be missing]

Options:
  -q, --quiet  only what is wrong
  -h, --help   this text

Examples:
  stbeacon elements
  stbeacon elements my-box.toml
  STBEACON_ELEMENTS=my-box.toml GST_TRACERS=stbeacon GST_DEBUG=stbeacon:4 gst-play-1.0 clip.ts

";

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut file: Option<PathBuf> = None;
    let mut is_quiet = false;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("quiet") | Arg::Short('q') => is_quiet = true,
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Value(value) if file.is_none() => file = Some(value.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let named = file.is_some() || std::env::var_os(FILE_ENV).is_some_and(|path| !path.is_empty());
    let file = file.unwrap_or_else(|| cli::path_from_env(FILE_ENV, FILE));
    let own = read(&file, named)?;
    if is_quiet {
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    match &own {
        Some(own) => {
            text.push_str(&format!("{}: good\n", file.display()));
            own.rules().for_each(|rule| text.push_str(&format!("  {rule}\n")));
        }
        None => text.push_str(&format!("{}: there is none\n", file.display())),
    }
    text.push_str("built in:\n");
    Table::builtin().rules().for_each(|rule| text.push_str(&format!("  {rule}\n")));
    cli::print(&text);
    Ok(ExitCode::SUCCESS)
}

/// `None` where there is no file, and nobody said that there is one.
fn read(file: &Path, named: bool) -> Result<Option<Table>, Failure> {
    if !named && !file.exists() {
        return Ok(None);
    }
    let bytes = files::read(file, MAX_BYTES as u64, "table of elements").map_err(Failure::input)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|b| **b == b'\n');
        let line = line.count() + 1;
        Failure::input(format!("{}:{line}: is not UTF-8; save it as UTF-8", file.display()))
    })?;
    Table::parse(&text).map(Some).map_err(|problems| {
        let problems: Vec<_> =
            problems.iter().map(|problem| format!("{}:{problem}", file.display())).collect();
        Failure::input(problems.join("\nstbeacon: "))
    })
}
