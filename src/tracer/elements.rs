//! The table of the box's hardware: an integrator's file, and what is built in.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use gstreamer as gst;
use stbeacon_core::elements::{FILE, FILE_ENV, MAX_BYTES, Rule, Table};

use crate::guard::CAT;

/// What is known of elements of a factory.
pub(crate) fn rule(factory: &str) -> Option<&'static Rule> {
    table().rule(factory)
}

/// Read once in a process, before any pipeline runs.
pub(crate) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let named = std::env::var_os(FILE_ENV).filter(|path| !path.is_empty());
        let path = Path::new(named.as_deref().unwrap_or(FILE.as_ref()));
        match read(path) {
            Ok(own) => own.then(Table::builtin()),
            // Most boxes have none.
            Err(Fault::Missing) if named.is_none() => Table::builtin(),
            Err(fault) => {
                let why = fault.to_string();
                gst::error!(
                    CAT,
                    "{}: {why}; only what is built in is known (`stbeacon elements` checks the file)",
                    path.display()
                );
                Table::builtin()
            }
        }
    })
}

enum Fault {
    Missing,
    Unreadable(std::io::Error),
    Wrong(Vec<stbeacon_core::elements::Problem>),
}

fn read(path: &Path) -> Result<Table, Fault> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Unreadable(error),
    })?;
    let mut text = String::new();
    let most = MAX_BYTES as u64 + 1;
    // Not a pipe, which would be waited for.
    match file.metadata() {
        Ok(data) if data.is_file() => {}
        Ok(_) => return Err(Fault::Unreadable(std::io::Error::other("not a file"))),
        Err(error) => return Err(Fault::Unreadable(error)),
    }
    file.by_ref().take(most).read_to_string(&mut text).map_err(Fault::Unreadable)?;
    Table::parse(&text).map_err(Fault::Wrong)
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::Unreadable(error) => write!(f, "{error}"),
            Self::Wrong(problems) => {
                let problems: Vec<_> = problems.iter().map(|problem| format!("line {problem}")).collect();
                f.write_str(&problems.join("; "))
            }
        }
    }
}
