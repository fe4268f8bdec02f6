//! `stbeacon check`: whether a provisioning file is one, and what it says.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::{Arg, ValueExt};
use stbeacon_core::provisioning::Parsed;

use crate::cli::{self, Failure};
use crate::provision::{self, Credentials, ServerOrigin};
use crate::sampler::Sampler;

const HELP: &str = "\
Check provisioning as the daemon would read it, and explain line by line what is in force and what of it is a
default. Nothing secret is shown.

What is wrong is told as FILE:LINE:COLUMN, with what was expected there. What would be ignored is told too, and is
no error.

Usage: stbeacon check [OPTIONS] FILE|URL|-

  FILE  a file
  URL   http://… or https://…: fetched as the daemon fetches it, with the box's Mac-Address; without a path it is
        completed to http://HOST/prov/tvip_provision.xml
  -     standard input

Options:
      --explain  what is done anyway
      --ca FILE  certificate authorities to trust for a URL, PEM [default: the system's]
      --cert FILE
                 the box's own certificate, PEM
      --key FILE its key, PEM; only its owner may read it
      --secret FILE
                 holds a token, or with --user the password; only its owner may read it
      --user USER
  -q, --quiet    only what is wrong or would be ignored, and the verdict
  -h, --help     this text

Examples:
  stbeacon check /etc/stbeacon/provision.xml
  stbeacon check http://prov.example.net
  stbeacon check --user box --secret /etc/stbeacon/prov.secret https://prov.example.net
  curl -s http://prov.example.net/prov/tvip_provision.xml | stbeacon check -

";

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut what: Option<OsString> = None;
    let mut credentials = Credentials::default();
    let mut is_quiet = false;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("explain") => is_quiet = false,
            Arg::Long("ca") => credentials.ca = Some(args.value()?.into()),
            Arg::Long("cert") => credentials.cert = Some(args.value()?.into()),
            Arg::Long("key") => credentials.key = Some(args.value()?.into()),
            Arg::Long("user") => credentials.user = Some(args.value()?.string()?),
            Arg::Long("secret") => credentials.secret = Some(args.value()?.into()),
            Arg::Long("quiet") | Arg::Short('q') => is_quiet = true,
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Value(value) if what.is_none() => what = Some(value),
            other => return Err(other.unexpected().into()),
        }
    }
    let what = what.ok_or_else(|| Failure::usage("which file? See stbeacon check --help"))?;
    let (name, parsed) = read(what, credentials)?;
    let mut text = if is_quiet { String::new() } else { parsed.explain_settings().to_string() };
    for note in &parsed.notes {
        text.push_str(&format!("{name}:{}:{}: note: {}\n", note.line, note.column, note.message));
    }
    cli::print(&format!("{text}{name}: good\n"));
    Ok(ExitCode::SUCCESS)
}

/// What is to be checked, and by which name it goes.
fn read(what: OsString, credentials: Credentials) -> Result<(String, Parsed), Failure> {
    if what == "-" {
        let name = "standard input".to_owned();
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(provision::MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| Failure::input(format!("{name}: {error}")))?;
        let parsed = provision::parse(&name, &bytes).map_err(Failure::input)?;
        return Ok((name, parsed));
    }
    if let Some(url) = what.to_str().filter(|text| text.contains("://")) {
        let origin = ServerOrigin::new(url, credentials)
            .map_err(|error| Failure::input(format!("the URL: {error}")))?;
        let name = origin.url.to_string();
        return Ok((name, provision::fetch_once(origin, mac()).map_err(Failure::input)?));
    }
    let file = PathBuf::from(what);
    let parsed = provision::read(&file).map_err(Failure::input)?;
    Ok((file.display().to_string(), parsed))
}

/// The box's own address, as the daemon gives it; empty where the kernel does not tell.
fn mac() -> String {
    let mut sampler = Sampler::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(sampler.refresh())) {
        Ok(_) => sampler.mac(),
        Err(error) => {
            eprintln!(
                "stbeacon: the kernel does not list its interfaces, so no Mac-Address is sent: {error}"
            );
            String::new()
        }
    }
}
