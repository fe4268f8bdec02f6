//! The life of a .deb on a box with systemd: installed, used, upgraded, removed, purged.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use stbeacon_tests::{Answer, wait};

use super::arch::Arch;
use super::checks::Checks;
use super::emulated::Emulated;
use super::packages::Packages;
use super::play::View;
use super::stage::{Clips, text};

const LIMIT: Duration = Duration::from_secs(60);

/// What a story plays with.
pub(super) struct Props<'a> {
    pub(super) arch: Arch,
    pub(super) packages: &'a Packages,
    pub(super) clips: &'a Clips,
    pub(super) gateway: &'a str,
}

/// Where packages lie in a box.
pub(super) const THERE: &str = "/tmp/packages";

/// Puts packages into the box, and says where each is.
pub(super) fn put(emulated: &Emulated, packages: &[PathBuf]) -> Result<Vec<String>, String> {
    let mut there = Vec::new();
    for package in packages {
        let name = package.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let to = format!("{THERE}/{name}");
        emulated.put(package, &to)?;
        there.push(to);
    }
    Ok(there)
}

/// Upgrades what is installed with the box's own package manager.
fn upgrade(emulated: &Emulated, packages: &[PathBuf]) -> Result<String, String> {
    let there = put(emulated, packages)?;
    emulated.sh(&format!("DEBIAN_FRONTEND=noninteractive dpkg --install {} 2>&1", there.join(" ")))
}

/// Installs on a box whose row in the README's table begins with `kind`, by the commands that stand there; what they said.
pub(super) fn install_by_the_book(
    view: View<'_>,
    checks: &mut Checks,
    kind: &str,
    props: &Props<'_>,
) -> Result<String, String> {
    put(view.emulated, &props.packages.old)?;
    let mut all = String::new();
    for command in view.readme.install(kind, props.arch)? {
        let said = view.emulated.sh(&format!("cd {THERE} && {command} 2>&1"));
        let shown = said.as_ref().map(|_| String::new()).map_err(Clone::clone);
        checks.note(view.whose, &format!("README: {command}"), shown);
        all += &said?;
    }
    Ok(all)
}

/// Asks what stands in the way of the player that runs, and gives the first line of the answer.
pub(super) fn doctor(view: View<'_>) -> Result<String, String> {
    const PLAYER: &str = "gst-play-1.0";
    let command = view.readme.command("stbeacon doctor")?;
    let player = view.emulated.process(PLAYER).ok_or("no player runs")?.to_string();
    let said =
        view.emulated.sh(&format!("{} 2>&1", command.replace(&format!("$(pidof {PLAYER})"), &player)))?;
    let first = said.lines().next().unwrap_or_default().to_owned();
    if first.starts_with(PLAYER) && first.contains(&player) { Ok(first) } else { Err(said) }
}

/// Writes a provisioning file, and waits until the daemon has it from there by itself.
pub(super) fn provision(view: View<'_>, xml: &str) -> Result<(), String> {
    view.emulated.write("/etc/stbeacon/provision.xml", xml)?;
    // It is taken in when the first report comes: there is one of the network every few seconds.
    let seen = view.operator.reports.network().len();
    let taken = |receiver: &stbeacon_tests::Receiver| (receiver.network().len() > seen).then_some(());
    view.operator.reports.wait_for("a first report", LIMIT, taken).map_err(text)
}

/// Installed from nothing, as the README has it, and reporting to `operator`.
pub(super) fn set_up(
    view: View<'_>,
    checks: &mut Checks,
    props: &Props<'_>,
    extended: bool,
) -> Result<(), String> {
    let View { whose, emulated, operator, .. } = view;
    install_by_the_book(view, checks, "Debian", props)?;
    checks.equal(whose, "installed: the unit", &"active enabled", &&*unit(emulated)?);
    let user = emulated.sh("stat -c %U /proc/$(systemctl show --property=MainPID --value stbeacon)")?;
    checks.equal(whose, "installed: the daemon's user", &"stbeacon", &user.trim());
    provision(view, &operator.provisioning(whose, extended))?;
    checks.holds(whose, "provisioned: the file that changed is read by itself (inotify)", true, "");
    let enabled = emulated.sh(&format!("set -e\n{}", view.readme.block("stbeacon enable-tracer")?));
    checks.note(whose, "README: the player's unit gets the plug-in", enabled.map(|_| String::new()));
    Ok(())
}

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
    set_up(view, checks, props, false)?;
    let long = clips.for_an_upgrade(start.elapsed());

    view.file(checks, "a file", &clips.whole, 0)?;
    view.file(checks, "a file with gaps", &clips.damaged, gaps(clips)?)?;
    view.udp(checks, &clips.whole, false)?;
    view.udp(checks, &clips.whole, true)?;
    view.network(checks, gateway)?;
    view.footprint(checks)?;

    if whole {
        // The server is away, too, when what is left of the session is to be sent.
        operator.reports.answer_with([Answer::status(503)]);
        view.in_the_middle(checks, "restarted in mid-play", &clips.middle, || {
            emulated.sh("systemctl restart stbeacon")
        })?;
        let ran = emulated.daemon();
        view.in_the_middle(checks, "reconfigured in mid-play", &clips.middle, || {
            emulated.write("/etc/stbeacon/provision.xml", &operator.provisioning(whose, true))?;
            emulated.sh("systemctl reload stbeacon")
        })?;
        let last = operator.reports.media().last().is_some_and(|media| media.qoe.is_some());
        checks.holds(whose, "reconfigured: the report is extended now", last, "it has no qoe");
        checks.equal(whose, "reconfigured: the same daemon runs", &ran, &emulated.daemon());
    }
    // A file of the operator's, and of an older version: an element of it has no meaning any more.
    let old = "s,</provision>,<retired since=\"0.0\"/><!-- the operator was here --></provision>,";
    let marked = emulated.sh(&format!(
        "cd /etc/stbeacon && sed -i '{old}' provision.xml && grep retired provision.xml && cat provision.xml"
    ))?;
    let before = emulated.daemon();
    let (well, said) = view.in_the_middle(checks, "upgraded in mid-play", long, || {
        let well = doctor(view);
        upgrade(emulated, &packages.new).map(|said| (well, said))
    })?;
    checks.note(whose, "README: stbeacon doctor", well);
    let version = emulated.sh("dpkg-query --show --showformat='${Version}' stbeacon")?;
    checks.equal(whose, "upgraded: version", &packages.new_version, &version);
    checks.holds(
        whose,
        "upgraded: another daemon runs",
        emulated.daemon() != before,
        "the old one still does",
    );
    checks.equal(whose, "upgraded: the unit", &"active enabled", &&*unit(emulated)?);
    let kept = emulated.sh("cd /etc/stbeacon && grep retired provision.xml && cat provision.xml")?;
    checks.holds(whose, "upgraded: an older settings file kept", kept == marked, &said);
    view.file(checks, "after the upgrade", &clips.whole, 0)?;

    remove(view, checks, &clean)
}

/// Removed, then purged: what was there before is there again.
fn remove(view: View<'_>, checks: &mut Checks, clean: &[String]) -> Result<(), String> {
    let View { whose, emulated, .. } = view;
    // What the player's drop-in is to the operator; the package did not make it, and does not take it away.
    emulated.sh("stbeacon enable-tracer --unit player.service --remove && systemctl daemon-reload")?;
    emulated.sh("DEBIAN_FRONTEND=noninteractive apt-get remove -y stbeacon gstreamer1.0-stbeacon 2>&1")?;
    checks.holds(whose, "removed: no daemon runs", emulated.daemon().is_none(), "it still does");
    let kept = emulated.sh("test -s /etc/stbeacon/provision.xml && test ! -e /usr/bin/stbeacon");
    checks.note(whose, "removed: programs gone, settings kept", kept.map(|_| String::new()));
    emulated.sh("DEBIAN_FRONTEND=noninteractive apt-get purge -y stbeacon gstreamer1.0-stbeacon 2>&1")?;
    left_behind(emulated, checks, whose, clean)?;
    let known = emulated
        .sh("dpkg-query --show --showformat='${Package} ${db:Status-Status}\\n' | grep -c stbeacon; true")?;
    checks.equal(whose, "purged: dpkg knows nothing of it", &"0", &known.trim());
    let listens = wait::until("the sockets to go", LIMIT, || emulated.sh("test ! -e /run/stbeacon").ok());
    checks.note(whose, "purged: no socket is left", listens.map(|_| String::new()).map_err(text));
    Ok(())
}

/// The difference that a package has made, when it is gone.
pub(super) fn left_behind(
    emulated: &Emulated,
    checks: &mut Checks,
    whose: &str,
    clean: &[String],
) -> Result<(), String> {
    let now = emulated.files()?;
    let left: Vec<_> =
        now.iter().filter(|line| !clean.contains(line)).map(|line| format!("+ {line}")).collect();
    let lost: Vec<_> =
        clean.iter().filter(|line| !now.contains(line)).map(|line| format!("- {line}")).collect();
    let difference = [left, lost].concat();
    let outcome =
        if difference.is_empty() { Ok(format!("{} files", now.len())) } else { Err(difference.join(", ")) };
    checks.note(whose, "nothing left behind, nothing else gone", outcome);
    Ok(())
}

fn unit(emulated: &Emulated) -> Result<String, String> {
    let script = "systemctl is-active stbeacon; systemctl is-enabled stbeacon; true";
    Ok(emulated.sh(script)?.split_whitespace().collect::<Vec<_>>().join(" "))
}

pub(super) fn gaps(clips: &Clips) -> Result<u64, String> {
    Ok(stbeacon_tests::ts::continuity_errors(&clips.damaged.content().map_err(text)?))
}
