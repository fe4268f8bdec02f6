//! `cargo xtask emulate`: the packages on ARM boxes that are emulated, from installation to purge.

mod arch;
mod checks;
mod deb;
mod emulated;
mod hostile;
mod image;
mod interrupt;
mod ipk;
mod machine;
mod packages;
mod play;
mod readme;
mod stage;

use std::path::{Path, PathBuf};
use std::time::Instant;

use lexopt::prelude::*;

use self::arch::Arch;
use self::checks::Checks;
use self::deb::Props;
use self::emulated::{Boot, Emulated, Network};
use self::image::Kind;
use self::machine::Docker;
use self::packages::Packages;
use self::play::{Pace, View};
use self::readme::Readme;
use self::stage::{Clips, Operator, text};
use crate::system::Needs;
use crate::{Failure, run, system, ui};

const HELP: &str = "\
Installs the packages on emulated ARM boxes in docker, plays on them, and checks what arrives.

Makes the packages, and from Debian's packages two kinds of box: one with systemd, dpkg and apt for the .deb, one with
busybox alone for the .ipk. Starts docker and registers qemu where they are not yet, and stops what it has started.
On each box, which is set up by the commands that the README tells to install it by, a player plays a file, a file
with gaps and a UDP stream under the tracer; the reports and lines that arrive are compared with what was played; then
come restart, new provisioning and upgrade in mid-play, removal and purge.

Usage: cargo xtask emulate [OPTIONS]

Options:
      --arch ARCH     armhf or arm64 [default: both]
      --short         one box of each kind, and the shortest story: what every test run does
      --packages DIR  take the packages from there, in versions V and V+2, instead of making them
      --keep          leave the boxes running afterwards, to look around in
  -h, --help          this text

Examples:
  cargo xtask emulate --arch armhf
  cargo xtask emulate --arch arm64 --short --keep

Exits with 0 if every check passes, with 1 otherwise; what a box had to say is then in target/emulate/.
";

#[derive(Debug, Default)]
struct Options {
    short: bool,
    keep: bool,
    packages: Option<PathBuf>,
}

pub(crate) fn main(mut args: lexopt::Parser) -> Result<(), Failure> {
    let mut options = Options::default();
    let mut chosen = None;
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("arch") => chosen = Some(args.value()?.parse::<Arch>()?),
            Long("short") => options.short = true,
            Long("keep") => options.keep = true,
            Long("packages") => options.packages = Some(args.value()?.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let arches = chosen.map_or(Arch::ALL.to_vec(), |arch| vec![arch]);
    Ok(emulate(&arches, &options)?)
}

/// What every test run does: one box of each kind, 32 bits.
pub(crate) fn briefly() -> Result<(), String> {
    emulate(&[Arch::Armhf], &Options { short: true, ..Options::default() })
}

fn emulate(arches: &[Arch], options: &Options) -> Result<(), String> {
    system::ensure(Needs::Emulation)?;
    let logs = run::target().join("emulate");
    // Those of the last time would be taken for this one's.
    let _ = std::fs::remove_dir_all(&logs);
    std::fs::create_dir_all(&logs).map_err(|e| format!("{}: {e}", logs.display()))?;

    let readme = Readme::read()?;
    let mut checks = Checks::default();
    ui::title("Setting up");
    interrupt::clean_up_when_interrupted(options.keep)?;
    let docker = Docker::ensure(&logs, options.keep)?;
    let clips = Clips::make()?;
    for arch in arches {
        machine::ensure_emulator(*arch)?;
        let packages = match &options.packages {
            Some(dir) => dir.clone(),
            None => packages::make(*arch)?,
        };
        Leg { arch: *arch, options, packages: &packages, clips: &clips, readme: &readme, logs: &logs }
            .run(&mut checks)?;
    }
    drop(docker);

    checks.table();
    match checks.wrong() {
        0 => Ok(()),
        wrong => Err(format!("{wrong} checks failed; what the boxes had to say is in {}", logs.display())),
    }
}

/// Everything on one architecture.
struct Leg<'a> {
    arch: Arch,
    options: &'a Options,
    packages: &'a Path,
    clips: &'a Clips,
    readme: &'a Readme,
    logs: &'a Path,
}

// === impl Leg ===

impl Leg<'_> {
    fn run(&self, checks: &mut Checks) -> Result<(), String> {
        let short = self.options.short;
        self.with_boxes((Kind::Deb, Boot::Init), &["deb"], checks, |views, props, checks| {
            views.iter().try_for_each(|view| deb::story(*view, checks, props, !short))
        })?;
        self.with_boxes((Kind::Ipk, Boot::Init), &["ipk"], checks, |views, props, checks| {
            views.iter().try_for_each(|view| ipk::story(*view, checks, props, !short))
        })?;
        if short {
            return Ok(());
        }
        self.with_boxes((Kind::Deb, Boot::Init), &["lounge", "kitchen"], checks, side_by_side)?;
        self.with_boxes((Kind::Deb, Boot::Nothing), &["bare"], checks, |views, props, checks| {
            views.iter().try_for_each(|view| hostile::story(*view, checks, props))
        })
    }

    /// Starts boxes, each with an operator of its own, and has a story happen on them. A story that breaks off is a
    /// check that failed: other boxes have theirs all the same.
    fn with_boxes(
        &self,
        (kind, boot): (Kind, Boot),
        names: &[&str],
        checks: &mut Checks,
        story: impl FnOnce(&[View<'_>], &Props<'_>, &mut Checks) -> Result<(), String>,
    ) -> Result<(), String> {
        let start = Instant::now();
        ui::title(&format!("{} ({})", names.join(" and "), self.arch));
        let packages = Packages::find(self.packages, kind, self.arch)?;
        let image = image::ensure(kind, self.arch)?;
        let network = Network::make(self.options.keep)?;
        let mut parts = Vec::new();
        for name in names {
            let whose = format!("{}-{name}", self.arch);
            let emulated = ui::step(&format!("booting {whose}"), || {
                Emulated::start(&image, kind, boot, &whose, &network, self.logs)
            })?;
            let operator = Operator::start(&network.gateway)?;
            parts.push((whose, emulated, operator));
        }
        let readme = self.readme;
        let views: Vec<_> = parts
            .iter()
            .map(|(whose, emulated, operator)| View { whose, emulated, operator, readme })
            .collect();
        let props =
            Props { arch: self.arch, packages: &packages, clips: self.clips, gateway: &network.gateway };
        let before = checks.wrong();
        if let Err(error) = story(&views, &props, checks) {
            checks.note(
                &format!("{}-{}", self.arch, names.join("+")),
                "the story comes to its end",
                Err(error),
            );
        }
        for view in &views {
            let right = view.operator.reports.check().map(|()| String::new()).map_err(text);
            checks.note(view.whose, "every body is right by the schema", right);
        }
        if checks.wrong() > before {
            views.iter().for_each(|view| view.emulated.keep_logs());
        }
        println!("  {} took {:.0} s", names.join(" and "), start.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Two boxes that know nothing of each other, and play at the same time.
fn side_by_side(views: &[View<'_>], props: &Props<'_>, checks: &mut Checks) -> Result<(), String> {
    for (number, view) in views.iter().enumerate() {
        deb::set_up(*view, checks, props, number > 0)?;
    }
    let before = views.iter().map(View::before).collect::<Result<Vec<_>, _>>()?;
    let clips = [&props.clips.whole, &props.clips.long];
    for (view, clip) in views.iter().zip(clips) {
        view.start_file(clip, Pace::Real)?;
    }
    for (number, ((view, clip), before)) in views.iter().zip(clips).zip(before).enumerate() {
        view.wait_played()?;
        let media = view.report(before)?;
        view.judge(checks, "side by side", clip, 0, &media);
        checks.equal(
            view.whose,
            "side by side: extended as provisioned",
            &(number > 0),
            &media.qoe.is_some(),
        );
    }
    Ok(())
}
