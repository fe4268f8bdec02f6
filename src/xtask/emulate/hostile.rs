//! Where packages are installed under bad conditions: without an init, into another root, with a read-only `/etc`, with a
//! full flash.

use super::checks::Checks;
use super::deb::{Props, install_by_the_book, left_behind, provision, put};
use super::play::View;

const PURGE: &str = "DEBIAN_FRONTEND=noninteractive apt-get purge -y stbeacon gstreamer1.0-stbeacon 2>&1";

pub(super) fn story(view: View<'_>, checks: &mut Checks, props: &Props<'_>) -> Result<(), String> {
    let clean = view.emulated.files()?;
    into_another_root(view, checks, props)?;
    left_behind(view.emulated, checks, view.whose, &clean)?;
    without_an_init(view, checks, props)?;
    read_only(view, checks, &view.operator.provisioning(view.whose, false))?;
    full(view, checks)?;
    view.emulated.sh(PURGE)?;
    checks.holds(view.whose, "purged: no daemon runs", view.emulated.daemon().is_none(), "it still does");
    left_behind(view.emulated, checks, view.whose, &clean)
}

/// As image builders do it: dpkg on this machine, the root elsewhere (`DPKG_ROOT`).
fn into_another_root(view: View<'_>, checks: &mut Checks, props: &Props<'_>) -> Result<(), String> {
    let View { whose, emulated, .. } = view;
    let (root, packages) = ("/tmp/image", put(emulated, &props.packages.old)?.join(" "));
    let said = emulated.sh(&format!(
        "mkdir -p {root}/etc {root}/lib/systemd {root}/var/lib/dpkg/info {root}/var/lib/dpkg/updates \
         && : > {root}/var/lib/dpkg/status && cp /etc/passwd /etc/group {root}/etc/ && touch {root}/lib/systemd/systemd \
         && dpkg --root={root} --force-script-chrootless --force-depends --install {packages} 2>&1"
    ));
    checks.note(whose, "DPKG_ROOT: installed", said.map(|_| String::new()));
    let wants = "etc/systemd/system/multi-user.target.wants/stbeacon.service";
    let there = emulated.sh(&format!(
        "test -x {root}/usr/bin/stbeacon && grep ^stbeacon: {root}/etc/passwd && test -L {root}/{wants}"
    ));
    checks.note(
        whose,
        "DPKG_ROOT: programs, user and unit are there",
        there.map(|line| line.trim().to_owned()),
    );
    checks.holds(whose, "DPKG_ROOT: no daemon runs", emulated.daemon().is_none(), "one was started");
    emulated.sh(&format!("rm -rf {root}")).map(drop)
}

/// Installed where no init is at work, and started as the package says.
fn without_an_init(view: View<'_>, checks: &mut Checks, props: &Props<'_>) -> Result<(), String> {
    let View { whose, emulated, operator, .. } = view;
    let said = install_by_the_book(view, checks, "Debian", props)?;
    checks.holds(whose, "no init: no daemon runs", emulated.daemon().is_none(), "one was started");
    let start = said.lines().find_map(|line| line.split_once("start the daemon with: "));
    let (_, start) = start.ok_or_else(|| format!("nothing was said of how to start the daemon: {said}"))?;
    emulated.sh(&format!("{start} 2>&1"))?;
    checks.holds(whose, &format!("no init: {start}"), emulated.daemon().is_some(), "no daemon runs");
    provision(view, &operator.provisioning(whose, false))?;
    checks.holds(whose, "no init: it reports", true, "");
    Ok(())
}

/// A settings directory that nothing can be written to, as on a read-only root file system.
fn read_only(view: View<'_>, checks: &mut Checks, provisioning: &str) -> Result<(), String> {
    let View { whose, emulated, .. } = view;
    emulated.write("/etc/stbeacon/provision.xml", provisioning)?;
    emulated.sh("/etc/init.d/stbeacon stop; userdel stbeacon; mount --bind /etc /etc && mount -o remount,bind,ro /etc")?;
    let said = emulated.sh("sh /var/lib/dpkg/info/stbeacon.postinst configure 2>&1");
    let said =
        said.and_then(|said| match said.lines().find(|line| line.contains("/etc cannot be written")) {
            Some(line) => Ok(line.to_owned()),
            None => Err(format!("nothing was said of it: {said}")),
        });
    checks.note(whose, "read-only /etc: configured, and told", said);
    emulated.sh("umount /etc && sh /var/lib/dpkg/info/stbeacon.postinst configure && mount --bind /etc /etc && mount -o remount,bind,ro /etc")?;
    emulated.sh("/etc/init.d/stbeacon start")?;
    let reports = next_report(view);
    checks.note(whose, "read-only /etc: the daemon reports", reports);
    emulated.sh("/etc/init.d/stbeacon stop && umount /etc").map(drop)
}

/// A flash that is full to its last byte.
fn full(view: View<'_>, checks: &mut Checks) -> Result<(), String> {
    let View { whose, emulated, .. } = view;
    emulated.sh("mkdir -p /var/lib/stbeacon && mount -t tmpfs -o size=64k tmpfs /var/lib/stbeacon \
         && { cat /dev/zero > /var/lib/stbeacon/full 2> /dev/null; true; }")?;
    let said = emulated.sh("sh /var/lib/dpkg/info/stbeacon.postinst configure 2>&1");
    checks.note(whose, "full flash: configured", said.map(|_| String::new()));
    emulated.sh("/etc/init.d/stbeacon start")?;
    let reports = next_report(view);
    checks.note(whose, "full flash: the daemon reports", reports);
    emulated.sh("/etc/init.d/stbeacon stop; umount /var/lib/stbeacon").map(drop)
}

/// A report of the network, made after now.
fn next_report(view: View<'_>) -> Result<String, String> {
    let seen = view.operator.reports.network().len();
    let limit = std::time::Duration::from_secs(60);
    let newest = view.operator.reports.wait_for("a report", limit, |receiver| {
        receiver.network().get(seen).map(|network| network.name.clone())
    });
    newest.map_err(super::text)
}
