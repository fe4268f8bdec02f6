//! `stbeacon check`: whether a provisioning file is one.

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::Arg;

use crate::cli::{self, Failure};
use crate::provision;

const HELP: &str = "\
Check a provisioning file, as the daemon would read it.

What is wrong is told as FILE:LINE:COLUMN, with what was expected there. What would be ignored is told too, and is
no error.

Usage: stbeacon check [OPTIONS] FILE

Options:
      --explain  print every setting in force, and where it comes from
  -h, --help     this text

Examples:
  stbeacon check /etc/stbeacon/provision.xml
  stbeacon check --explain provision.xml

";

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut file: Option<PathBuf> = None;
    let mut explain = false;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("explain") => explain = true,
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Value(value) if file.is_none() => file = Some(value.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.ok_or_else(|| Failure::usage("which file? See stbeacon check --help"))?;
    let parsed = provision::read(&file).map_err(Failure::input)?;
    if explain {
        cli::print(&parsed.explain().to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let name = file.display();
    for note in &parsed.notes {
        cli::print(&format!("{name}:{}:{}: note: {}\n", note.line, note.column, note.message));
    }
    cli::print(&format!("{name}: good\n"));
    Ok(ExitCode::SUCCESS)
}
