//! The life of an .ipk on a box that has busybox and its init: installed, used, upgraded, removed.

use std::path::PathBuf;
use std::time::Instant;

use stbeacon_tests::clips::Clip;

use super::checks::Checks;
use super::deb::{Props, doctor, gaps, install_by_the_book, left_behind, provision, put};
use super::emulated::Emulated;
use super::play::View;

/// No opkg can be had as a package: what stands in for it under its name unpacks an .ipk and runs its scripts as opkg does.
const OPKG: &str = "opkg";

/// The architectures that packages may be for, as on the README's command line; a box has one of them.
const ADD: &str = "--add-arch armhf:20 --add-arch arm64:20";

/// All of it. `whole` adds what takes longer.
pub(super) fn story(
    view: View<'_>,
    checks: &mut Checks,
    props: &Props<'_>,
    whole: bool,
) -> Result<(), String> {
    let View { whose, emulated, operator, .. } = view;
    let Props { packages, clips, gateway, .. } = props;
    let clean = emulated.files()?;
    let start = Instant::now();
    install_by_the_book(view, checks, "opkg", props)?;
    let long = clips.for_an_upgrade(start.elapsed());
    let runs = emulated.sh("/etc/init.d/stbeacon status");
    checks.note(
        whose,
        "installed: the init script says that it runs",
        runs.map(|said| said.trim().to_owned()),
    );
    provision(view, &operator.provisioning(whose, false))?;

    view.file(checks, "a file", &clips.whole, 0)?;
    if whole {
        view.file(checks, "a file with gaps", &clips.damaged, gaps(clips)?)?;
        view.udp(checks, &clips.whole, false)?;
        view.network(checks, gateway)?;
        view.footprint(checks)?;
    }
    let well = view.in_the_middle(checks, "restarted in mid-play", &clips.middle, || {
        let well = doctor(view);
        emulated.sh("/etc/init.d/stbeacon restart")?;
        Ok(well)
    })?;
    checks.note(whose, "README: stbeacon doctor", well);
    if whole {
        upgrade(view, checks, props, long)?;
    }
    emulated.sh(&format!("{OPKG} remove gstreamer1.0-stbeacon && {OPKG} remove stbeacon"))?;
    checks.holds(whose, "removed: no daemon runs", emulated.daemon().is_none(), "it still does");
    let kept = emulated.sh("test -s /etc/stbeacon/provision.xml && test ! -e /usr/bin/stbeacon");
    checks.note(
        whose,
        "removed: programs gone, settings that were changed kept",
        kept.map(|_| String::new()),
    );
    emulated.sh("rm -rf /etc/stbeacon")?;
    left_behind(emulated, checks, whose, &clean)?;
    offline(view, checks, &packages.old)?;
    if whole { without_gstreamer(view, checks, &packages.old) } else { Ok(()) }
}

fn upgrade(view: View<'_>, checks: &mut Checks, props: &Props<'_>, long: &Clip) -> Result<(), String> {
    let View { whose, emulated, .. } = view;
    let Props { packages, .. } = props;
    let before = emulated.daemon();
    let provisioned = emulated.sh("md5sum /etc/stbeacon/provision.xml")?;
    view.in_the_middle(checks, "upgraded in mid-play", long, || install(emulated, &packages.new))?;
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

    Ok(())
}

/// On a box whose GStreamer is missing: installed all the same, and told.
fn without_gstreamer(view: View<'_>, checks: &mut Checks, packages: &[PathBuf]) -> Result<(), String> {
    let View { whose, emulated, .. } = view;
    let library = emulated.sh("ls /usr/lib/*/libgstreamer-1.0.so.0")?.trim().to_owned();
    emulated.sh(&format!("mv {library} {library}.away"))?;
    let said = install(emulated, packages);
    emulated.sh(&format!("mv {library}.away {library}"))?;
    let told = said?.contains("there is no libgstreamer-1.0.so.0 here");
    checks.holds(whose, "without GStreamer: installed, and told", told, "nothing was said of it");
    checks.holds(whose, "without GStreamer: the daemon runs", emulated.daemon().is_some(), "it does not");
    emulated.sh(&format!("{OPKG} remove gstreamer1.0-stbeacon && {OPKG} remove stbeacon")).map(drop)
}

/// Into a root file system that is being put together elsewhere.
fn offline(view: View<'_>, checks: &mut Checks, packages: &[PathBuf]) -> Result<(), String> {
    let View { whose, emulated, .. } = view;
    let root = "/tmp/image";
    emulated.sh(&format!("mkdir -p {root}/etc/init.d && cp /etc/passwd /etc/group /etc/shadow {root}/etc/ && touch {root}/etc/init.d/rcS"))?;
    let before = emulated.files()?;
    let paths = put(emulated, packages)?.join(" ");
    emulated.sh(&format!("{OPKG} -o {root} install {ADD} {paths}"))?;
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
    let paths = put(emulated, packages)?.join(" ");
    emulated.sh(&format!("{OPKG} install {ADD} {paths} 2>&1"))
}
