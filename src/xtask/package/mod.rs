//! `cargo xtask package`: what is installed on a box, as .deb and as .ipk.

mod checks;
mod collector;
mod notices;
mod scripts;
mod sizes;

use std::path::{Path, PathBuf};
use std::process::Command;

use lexopt::prelude::*;

use crate::cross::{self, Built, TARGETS, Target};
use crate::system::{self, Needs};
use crate::{Failure, run, tools, ui};

const HELP: &str = "\
Makes the packages that are installed on a box: stbeacon (the daemon) and gstreamer1.0-stbeacon (the plug-in), each as
.deb and as .ipk. Builds in a root made from Debian's packages, kept in the user's cache directory; needs root, or sudo,
for that. Checks the sizes against packaging/sizes.json, the symbols that the programs need of glibc and GStreamer, the
maintainer scripts, and what lintian says.

With --collector it makes stbeacon-collector instead, as .deb alone: it is for servers, and nothing that a box has.

Usage: cargo xtask package [OPTIONS]
       cargo xtask package --collector [--try] [OPTIONS]

Options:
      --collector      the collector [default target: x86_64-unknown-linux-gnu; --all: and aarch64-unknown-linux-gnu]
      --try            then installs it in a fresh Debian, starts it there under systemd, sends it sessions, and purges
                       it: nothing may be left. For the architecture of this machine
      --target TRIPLE  for which processor; may stand there several times [default: armv7-unknown-linux-gnueabihf]
      --all            for all of them: armv7-unknown-linux-gnueabihf, aarch64-unknown-linux-gnu,
                       x86_64-unknown-linux-gnu
      --out DIR        where the packages go [default: target/packages]
      --version-suffix TEXT
                       after the version, such as ~rc1 or +2: to try upgrades
  -h, --help           this text

Examples:
  cargo xtask package
  cargo xtask package --target aarch64-unknown-linux-gnu --out /srv/feed
  cargo xtask package --all
  cargo xtask package --collector --try
";

/// The packages, as they are called in both formats.
pub(crate) const PACKAGES: [&str; 2] = ["stbeacon", "gstreamer1.0-stbeacon"];

/// The formats, as nfpm calls them.
const FORMATS: [&str; 2] = ["deb", "ipk"];

pub(crate) fn main(mut args: lexopt::Parser) -> Result<(), Failure> {
    let (mut targets, mut is_all, mut of_collector, mut is_tried) = (Vec::new(), false, false, false);
    let mut order = Order { out: run::target().join("packages"), suffix: String::new() };
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("target") => targets.push(target(&args.value()?.string()?)?),
            Long("all") => is_all = true,
            Long("collector") => of_collector = true,
            Long("try") => is_tried = true,
            // Cargo runs this program in the directory that the user is in.
            Long("out") => {
                let out = PathBuf::from(args.value()?);
                order.out = std::path::absolute(&out).map_err(|e| format!("{}: {e}", out.display()))?;
            }
            Long("version-suffix") => order.suffix = args.value()?.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    if is_tried && !of_collector {
        return Err(lexopt::Error::from("--try goes with --collector").into());
    }
    let all: &[Target] = if of_collector { &TARGETS[1..] } else { &TARGETS };
    if is_all {
        targets.extend(all);
    }
    if targets.is_empty() {
        targets.push(if of_collector { &TARGETS[2] } else { &TARGETS[0] });
    }
    targets.dedup();
    system::ensure(Needs::All)?;
    if of_collector {
        return Ok(collector::make(&targets, &order, is_tried)?);
    }
    Ok(make(&targets, &order)?)
}

/// What `cargo xtask test` makes and checks: the packages for the smallest boxes, and that the minimum compiler
/// understands the collector as well.
pub(crate) fn for_armhf() -> Result<(), String> {
    let [smallest, ..] = &TARGETS;
    make(&[smallest], &Order { out: run::target().join("packages"), suffix: String::new() })?;
    ui::title("The collector, by the minimum rustc");
    cross::check_collector(smallest)
}

/// What is wanted besides the targets.
struct Order {
    out: PathBuf,
    suffix: String,
}

fn target(triple: &str) -> Result<&'static Target, lexopt::Error> {
    TARGETS.iter().find(|target| target.triple == triple).ok_or_else(|| {
        let all: Vec<_> = TARGETS.iter().map(|target| target.triple).collect();
        format!("no target {triple:?}; there are: {}", all.join(", ")).into()
    })
}

fn make(targets: &[&Target], order: &Order) -> Result<(), String> {
    let crates = [("stbeacon", "stbeacon"), ("gstreamer1.0-stbeacon", "gst-plugin-stbeacon")];
    let stage = Stage::prepare(order, &scripts::NAMES, &["stbeacon.8", "stbeacon-line.7"], &crates)?;
    checks::scripts(&stage.dir, &scripts::NAMES)?;
    let mut measured = Vec::new();
    let mut made = Vec::new();
    for target in targets {
        ui::title(&format!("{}: programs", target.triple));
        let built = cross::build(target)?;
        checks::symbols(target, &built)?;
        ui::title(&format!("{}: packages", target.triple));
        let packages = stage.pack(target, &built)?;
        checks::lintian(&packages)?;
        measured.extend(sizes::measure(target, &built, &packages)?);
        made.extend(packages);
    }
    ui::title("Made");
    for package in &made {
        println!("  {}", package.file.display());
    }
    ui::title("Sizes in bytes, and packaging/sizes.json");
    sizes::check(&measured)
}

/// One package of one format.
struct Package {
    name: &'static str,
    format: &'static str,
    file: PathBuf,
}

/// What is made once and goes into packages for every processor.
struct Stage {
    dir: PathBuf,
    out: PathBuf,
    version: String,
    nfpm: PathBuf,
}

// === impl Stage ===

impl Stage {
    /// What goes into packages: scripts, manuals, and packages with the crates that they are made of.
    fn prepare(
        order: &Order,
        scripts: &[&str],
        manuals: &[&str],
        packages: &[(&str, &str)],
    ) -> Result<Self, String> {
        let dir = run::target().join("package-stage");
        for dir in [&dir, &order.out] {
            std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        for name in scripts {
            write(&dir.join(name), scripts::assemble(name)?.as_bytes())?;
        }
        for name in manuals {
            let source = run::root().join("packaging/man").join(name);
            let text = std::fs::read(&source).map_err(|e| format!("{}: {e}", source.display()))?;
            compress(&dir, name, &text)?;
        }
        let version = format!("{}{}", env!("CARGO_PKG_VERSION"), order.suffix);
        for (package, of) in packages {
            compress(&dir, &format!("{package}.third-party"), notices::of(of)?.as_bytes())?;
            compress(&dir, &format!("{package}.changelog"), debian_changelog(package, &version)?.as_bytes())?;
        }
        Ok(Self { dir, out: order.out.clone(), version, nfpm: tools::packagers()?.nfpm })
    }

    fn pack(&self, target: &Target, built: &Built) -> Result<Vec<Package>, String> {
        // What nfpm reads is in one place, whatever profile it was built with.
        for program in [&built.daemon, &built.tracer] {
            let name = program.file_name().unwrap_or_default();
            let to = built.dir.join(name);
            std::fs::copy(program, &to).map_err(|e| format!("{}: {e}", to.display()))?;
        }
        let mut packages = Vec::new();
        for name in PACKAGES {
            for format in FORMATS {
                packages.push(self.one(name, format, target, &built.dir, cross::GLIBC)?);
            }
        }
        Ok(packages)
    }

    /// One package of programs that lie in a directory and need that glibc.
    fn one(
        &self,
        name: &'static str,
        format: &'static str,
        target: &Target,
        programs: &Path,
        glibc: &str,
    ) -> Result<Package, String> {
        let file = self.out.join(format!("{name}_{}_{}.{format}", self.version, target.debian));
        let config = self.dir.join(format!("{name}.yaml"));
        write(&config, self.manifest(name, target, programs, glibc)?.as_bytes())?;
        let mut nfpm = run::command(&self.nfpm);
        nfpm.args(["package", "--packager", format, "--config"]).arg(&config).arg("--target").arg(&file);
        nfpm.env("SOURCE_DATE_EPOCH", cross::epoch());
        run::quietly(&mut nfpm)?;
        if format == "ipk" {
            squeeze(&file)?;
        }
        Ok(Package { name, format, file })
    }

    /// A manifest with all that stands in ${…} in its place; nfpm itself leaves some of them as they are.
    fn manifest(&self, name: &str, target: &Target, programs: &Path, glibc: &str) -> Result<String, String> {
        let mut text = read(&run::root().join(format!("packaging/nfpm/{name}.yaml")))?;
        for (variable, value) in [
            ("${ARCH}", target.debian),
            ("${MULTIARCH}", target.multiarch),
            ("${VERSION}", &self.version),
            ("${GLIBC}", glibc),
            ("${BOX}", &programs.to_string_lossy()),
            ("${STAGE}", &self.dir.to_string_lossy()),
        ] {
            text = text.replace(variable, value);
        }
        match text.split_once("${").map(|(_, rest)| rest.split('}').next().unwrap_or_default()) {
            // The first one is in a comment.
            Some(unknown) if unknown != "…" => {
                Err(format!("packaging/nfpm/{name}.yaml: nobody sets ${{{unknown}}}"))
            }
            _ => Ok(text),
        }
    }
}

/// In the form that Debian's tools read. What has changed is told by CHANGELOG.md.
fn debian_changelog(package: &str, version: &str) -> Result<String, String> {
    let date = run::told(Command::new("date").args(["-u", "-R", "-d", &format!("@{}", cross::epoch())]))?;
    Ok(format!(
        "{package} ({version}) unstable; urgency=medium\n\n  * Version {version}; CHANGELOG.md of the sources tells what has changed.\n\n \
         -- stbeacon maintainers <maintainers@stbeacon.invalid>  {date}"
    ))
}

/// Compresses what is in an .ipk anew: nfpm's own gzip leaves it a twenty-fifth larger than `gzip -9` does.
fn squeeze(ipk: &Path) -> Result<(), String> {
    const SCRIPT: &str = r#"
        set -eu
        dir=$(mktemp -d)
        trap 'rm -rf "$dir"' EXIT
        tar -xzf "$1" -C "$dir"
        for part in control data; do
            gunzip "$dir/$part.tar.gz"
            gzip -9n "$dir/$part.tar"
        done
        cd "$dir"
        tar --format=gnu --owner=0 --group=0 --numeric-owner --mode=0644 --mtime="@$2" \
            -cf ipk.tar ./debian-binary ./control.tar.gz ./data.tar.gz
        gzip -9nc ipk.tar > "$1"
    "#;
    let ipk = std::path::absolute(ipk).map_err(|e| format!("{}: {e}", ipk.display()))?;
    run::quietly(Command::new("sh").args(["-c", SCRIPT, "sh"]).arg(ipk).arg(cross::epoch()))
}

/// `gzip -9n`: without a name and a time in it, the same text gives the same bytes.
fn compress(dir: &Path, name: &str, text: &[u8]) -> Result<(), String> {
    let file = dir.join(name);
    write(&file, text)?;
    run::quietly(Command::new("gzip").args(["-9nf"]).arg(&file))
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}

fn write(file: &Path, text: &[u8]) -> Result<(), String> {
    std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}
