//! The life of an .ipk on a box that has busybox and its init: installed, used, upgraded, removed.

use std::path::PathBuf;

use super::checks::Checks;
use super::deb::{Props, gaps, left_behind, provision};
use super::emulated::Emulated;
use super::play::View;

/// No opkg can be had as a package: what stands in for it unpacks an .ipk and runs its scripts as opkg does.
const OPKG: &str = "opkg-stand-in";

pub(super) fn story(view: View<'_>, checks: &mut Checks, props: &Props<'_>) -> Result<(), String> {
    let View { whose, emulated, operator } = view;
    let Props { packages, clips, gateway } = props;
    let clean = emulated.files()?;
    install(emulated, &packages.old)?;
    let runs = emulated.sh("/etc/init.d/stbeacon status");
    checks.note(
        whose,
        "installed: the init script says that it runs",
        runs.map(|said| said.trim().to_owned()),
    );
    provision(view, &operator.provisioning(whose, false))?;

    view.file(checks, "a file", &clips.whole, 0)?;
    view.file(checks, "a file with gaps", &clips.damaged, gaps(clips)?)?;
    view.udp(checks, &clips.whole, false)?;
    view.network(checks, gateway)?;
    view.footprint(checks)?;
    view.in_the_middle(checks, "restarted in mid-play", &clips.long, || {
        emulated.sh("/etc/init.d/stbeacon restart")
    })?;

    let before = emulated.daemon();
    let provisioned = emulated.sh("md5sum /etc/stbeacon/provision.xml")?;
    view.in_the_middle(checks, "upgraded in mid-play", &clips.long, || install(emulated, &packages.new))?;
    checks.holds(
        whose,
        "upgraded: another daemon runs",
        emulated.daemon() != before,
        "the old one still does",
    );
    let kept = emulated.sh("md5sum /etc/stbeacon/provision.xml")?;
    checks.equal(whose, "upgraded: settings kept", &provisioned, &kept);
    let version = emulated.sh(&format!("{OPKG} list-installed | sed -n 's/^stbeacon - //p'"))?;
    checks.equal(whose, "upgraded: version", &packages.new_version, &version.trim().to_owned());

    emulated.sh(&format!("{OPKG} remove gstreamer1.0-stbeacon && {OPKG} remove stbeacon"))?;
    checks.holds(whose, "removed: no daemon runs", emulated.daemon().is_none(), "it still does");
    // opkg leaves settings that somebody has changed.
    emulated.sh("rm -rf /etc/stbeacon")?;
    left_behind(emulated, checks, whose, &clean)?;
    offline(view, checks, &packages.old)
}

/// Into a root file system that is being put together elsewhere.
fn offline(view: View<'_>, checks: &mut Checks, packages: &[PathBuf]) -> Result<(), String> {
    let View { whose, emulated, .. } = view;
    let root = "/tmp/image";
    emulated.sh(&format!("mkdir -p {root}/etc/init.d && cp /etc/passwd /etc/group /etc/shadow {root}/etc/ && touch {root}/etc/init.d/rcS"))?;
    let before = emulated.files()?;
    let paths = put(emulated, packages)?;
    emulated.sh(&format!("{OPKG} -o {root} install {paths}"))?;
    checks.holds(whose, "offline root: no daemon runs", emulated.daemon().is_none(), "one was started");
    let there = emulated.sh(&format!(
        "test -x {root}/usr/bin/stbeacon && grep -q ^stbeacon: {root}/etc/passwd && test -L {root}/etc/init.d/S95stbeacon && ls {root}"
    ));
    checks.note(
        whose,
        "offline root: programs, user and start script are there",
        there.map(|_| String::new()),
    );
    left_behind(emulated, checks, whose, &before)
}

fn install(emulated: &Emulated, packages: &[PathBuf]) -> Result<String, String> {
    let paths = put(emulated, packages)?;
    emulated.sh(&format!("{OPKG} install {paths} 2>&1"))
}

fn put(emulated: &Emulated, packages: &[PathBuf]) -> Result<String, String> {
    let mut paths = Vec::new();
    for package in packages {
        let name = package.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let to = format!("/tmp/packages/{name}");
        emulated.put(package, &to)?;
        paths.push(to);
    }
    Ok(paths.join(" "))
}
