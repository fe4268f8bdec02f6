//! Players that somebody watches: stbeacon by either way in, GStreamer's own tracers, or those of a crate.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stbeacon_tests::{Player, PlayerSocket, Way};

use crate::{run, ui};

/// How long one run may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Who watches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    way: Way,
    /// `GST_TRACERS` besides.
    tracers: &'static str,
    /// They are in a plug-in that comes neither with GStreamer nor with us.
    is_foreign: bool,
}

pub(super) const fn peer(name: &'static str, tracers: &'static str) -> Variant {
    Variant { name, way: Way::Unwatched, tracers, is_foreign: false }
}

pub(super) const fn ours(name: &'static str, way: Way) -> Variant {
    Variant { name, way, tracers: "", is_foreign: false }
}

const fn foreign(name: &'static str, tracers: &'static str) -> Variant {
    Variant { name, way: Way::Unwatched, tracers, is_foreign: true }
}

/// The first is what the others are held against; the second shows how far apart two of the same are.
const VARIANTS: [Variant; 7] = [
    peer("nobody", ""),
    peer("nobody, again", ""),
    ours("stbeacon, GST_TRACERS", Way::Tracers),
    ours("stbeacon, LD_PRELOAD", Way::Preload),
    peer("stats", "stats"),
    peer("latency(flags=element)", "latency(flags=element)"),
    peer("rusage", "rusage"),
];

/// Those of the crate gst-plugin-tracers, where it is at hand. What they find they write to a file.
const FOREIGN: [Variant; 3] = [
    foreign("pad-push-timings", "pad-push-timings(file=/dev/null)"),
    foreign("buffer-lateness", "buffer-lateness(file=/dev/null)"),
    foreign("queue-levels", "queue-levels(file=/dev/null)"),
];

/// What watches.
pub(super) struct Plugins {
    ours: PathBuf,
    /// The directory of the crate gst-plugin-tracers' plug-in.
    foreign: Option<PathBuf>,
}

// === impl Plugins ===

impl Plugins {
    /// With the plug-in of the crate gst-plugin-tracers.
    pub(super) fn beside(self, foreign: Option<&Path>) -> Result<Self, String> {
        Ok(Self { foreign: foreign.map(Self::directory).transpose()?, ..self })
    }

    fn directory(plugin: &Path) -> Result<PathBuf, String> {
        let path = plugin.canonicalize().map_err(|e| format!("--tracers {}: {e}", plugin.display()))?;
        let directory = path.parent().filter(|_| path.is_file());
        let directory = directory.ok_or_else(|| format!("--tracers {}: not a file", plugin.display()))?;
        Ok(directory.to_owned())
    }

    /// Nobody first, and once more.
    pub(super) fn variants(&self) -> impl Iterator<Item = Variant> {
        VARIANTS.into_iter().chain(FOREIGN.into_iter().filter(|_| self.foreign.is_some()))
    }

    /// None of them twice.
    pub(super) fn once(&self) -> impl Iterator<Item = Variant> {
        self.variants().filter(|variant| variant.name != "nobody, again")
    }
}

/// GStreamer's own part of that is its own business: its version.
pub(super) fn gstreamer() -> Result<String, String> {
    let told = run::told(run::command("gst-launch-1.0").arg("--version"))?;
    Ok(told.lines().nth(1).unwrap_or_default().trim().to_owned())
}

/// The plug-in, built.
pub(super) fn build() -> Result<Plugins, String> {
    ui::step("the plug-in, as what goes on a box", || {
        let words =
            ["build", "--locked", "--quiet", "--package", "gst-plugin-stbeacon", "--profile", "tracer"];
        run::quietly(&mut run::cargo(&words))
    })?;
    Ok(Plugins { ours: run::target().join("tracer/libgststbeacon.so"), foreign: None })
}

/// A player of this variant, with somebody who listens to the plug-in, and keeps quiet.
pub(super) fn player(plugins: &Plugins, variant: Variant, socket: &PlayerSocket) -> Result<Player, String> {
    let player = Player::stock(variant.way).map_err(|error| error.to_string())?.socket(socket.path());
    let player = if variant.way == Way::Unwatched { player } else { player.tracer(plugins.ours.clone()) };
    let player = match &plugins.foreign {
        Some(directory) if variant.is_foreign => {
            let registry = run::target().join("bench-foreign-registry");
            player
                .env("GST_PLUGIN_PATH", &directory.to_string_lossy())
                .env("GST_REGISTRY", &registry.to_string_lossy())
        }
        _ => player,
    };
    Ok(if variant.tracers.is_empty() { player } else { player.env("GST_TRACERS", variant.tracers) })
}

/// Listens to the plug-in, and keeps quiet.
pub(super) fn listener() -> Result<PlayerSocket, String> {
    PlayerSocket::listen().map_err(|error| error.to_string())
}

/// Plays to the end.
pub(super) fn play(
    plugins: &Plugins,
    variant: Variant,
    socket: &PlayerSocket,
    pipeline: &str,
) -> Result<(), String> {
    let process = player(plugins, variant, socket)?.gst_launch(pipeline);
    let ended = process.and_then(|process| process.wait(LIMIT)).and_then(|player| player.success());
    ended.map(drop).map_err(|error| error.to_string())
}
