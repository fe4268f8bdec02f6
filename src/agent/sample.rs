//! `stbeacon sample`: one network report for each interface, now.

use std::process::ExitCode;

use lexopt::{Arg, ValueExt};
use stbeacon_core::provisioning::Glob;
use stbeacon_core::stb::{Measured, encode_batch};
use stbeacon_core::time::WallAnchor;

use crate::cli::{self, Failure};
use crate::clock;
use crate::netlink::{LinkModes, Netlink, Selection};

const HELP: &str = "\
Print one network report for each running interface, now, as the JSON array that a server would get.

No daemon is needed. Left out are loopback and, unless --interfaces names them, virtual interfaces: container
ends, tunnels, ports of a bridge. VLANs, bridges, bonds and dialled lines are in.

Usage: stbeacon sample [OPTIONS]

Options:
      --interfaces PATTERNS  only interfaces that match, virtual ones too; such as eth*,wlan0
  -h, --help                 this text

Examples:
  stbeacon sample
  stbeacon sample --interfaces 'eth0*,br0'

";

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut patterns = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("interfaces") => {
                patterns = Glob::list(&args.value()?.string()?);
                if patterns.is_empty() {
                    return Err(Failure::usage("--interfaces needs a pattern, such as eth*"));
                }
            }
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let interfaces = runtime
        .and_then(|runtime| runtime.block_on(async { Netlink::open()?.dump().await }))
        .map_err(|error| Failure::environment(format!("the kernel does not list its interfaces: {error}")))?;
    let at = clock::now();
    // Whoever looks at it now wants to see it now, whatever the clock says.
    let anchor = clock::wall_anchor().unwrap_or(WallAnchor { at, unix_ms: 0 });
    let mut modes = LinkModes::open();
    let reports: Vec<_> = interfaces
        .reported(&Selection::new(patterns), |name| modes.mode(name))
        .into_iter()
        .map(|network| Measured::Network { at, network }.stamp(&anchor))
        .collect();
    let mut body = encode_batch(&reports);
    body.push(b'\n');
    cli::print(&String::from_utf8_lossy(&body));
    Ok(ExitCode::SUCCESS)
}
