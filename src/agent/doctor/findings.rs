//! What the facts about a player mean, and what to do about them.

use std::fmt;
use std::path::{Path, PathBuf};

/// The file that GStreamer loads as our plug-in.
pub(super) const PLUGIN_FILE: &str = "libgststbeacon.so";

/// What is known about one player, or about the system where no player is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The player looked at; `None` looks at what a player started from here would find.
    pub(super) player: Option<Player>,
    /// GStreamer's core library, as the player has it loaded or as the system has it.
    pub(super) core: Option<Core>,
    /// Plug-in files found on the player's search path, first one first.
    pub(super) plugins: Vec<PathBuf>,
    /// Where they were looked for.
    pub(super) searched: Vec<PathBuf>,
    /// The registry that says that the plug-in failed once.
    pub(super) blacklisted_in: Option<PathBuf>,
    /// `GST_TRACERS` of the player's environment.
    pub(super) tracers: Option<String>,
    /// `LD_PRELOAD` of the player's environment.
    pub(super) preload: Option<String>,
    /// Where the player would look for the daemon.
    pub(super) socket: PathBuf,
    /// What it would find there.
    pub(super) reach: Reach,
}

/// A running process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Player {
    pub(super) pid: u32,
    pub(super) name: String,
    /// Whether our plug-in is among its mapped files.
    pub(super) loaded: bool,
    /// Whether the kernel started it in secure mode (AT_SECURE), in which LD_PRELOAD is ignored.
    pub(super) secure: bool,
}

/// GStreamer's core library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Core {
    pub(super) path: PathBuf,
    /// Whether it was built with tracer hooks, without which `GST_TRACERS` is silently ignored.
    pub(super) hooks: bool,
}

/// Whether the daemon's socket can be reached from where the player stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is there, and the daemon answers.
    #[default]
    Reachable,
    /// Nothing there.
    Missing,
    /// There, but nobody listens.
    Dead,
    /// The player sees another file under that name than we do: another mount namespace.
    OtherNamespace,
    /// The player's user may not write to it.
    Denied {
        /// The player's user id.
        uid: u32,
    },
    /// It could not be looked at.
    Unknown(String),
}

/// One thing found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) text: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

/// How a finding bears on whether the player is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Note,
    /// The player is not seen because of this.
    Problem,
}

/// Everything that follows from the facts, in the order in which a player passes through it.
pub(super) fn diagnose(facts: &Facts) -> Vec<Finding> {
    vec![core(facts), plugin(facts), way_in(facts), socket(facts)].into_iter().flatten().collect()
}

fn core(facts: &Facts) -> Vec<Finding> {
    match (&facts.core, &facts.player) {
        (Some(Core { path, hooks: true }), _) => {
            vec![fine(format!("GStreamer is {}, built with tracer hooks", path.display()))]
        }
        (Some(Core { path, hooks: false }), _) => vec![note(
            format!(
                "GStreamer is {}, built without tracer hooks: GST_TRACERS is ignored there",
                path.display()
            ),
            format!("start the player with LD_PRELOAD={}", preload_path(facts)),
        )],
        (None, Some(_)) => vec![problem(
            "the process has not loaded libgstreamer-1.0.so.0: it is no GStreamer player, has not begun to play, \
             or has GStreamer linked in statically",
            "if it is linked statically, neither way in works; let the player speak the player protocol itself",
        )],
        (None, None) => vec![problem(
            "no libgstreamer-1.0.so.0 on this system",
            "install GStreamer (Debian: libgstreamer1.0-0)",
        )],
    }
}

fn plugin(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match facts.plugins.first() {
        Some(path) => findings.push(fine(format!("the plug-in is {}", path.display()))),
        None if facts.player.as_ref().is_some_and(|player| player.loaded) => {}
        None => {
            let searched: Vec<_> = facts.searched.iter().map(|dir| dir.display().to_string()).collect();
            findings.push(problem(
                format!("no {PLUGIN_FILE} in {}", searched.join(", ")),
                "install the package gstreamer1.0-stbeacon, or name the plug-in's directory in GST_PLUGIN_PATH",
            ));
        }
    }
    if let Some(registry) = &facts.blacklisted_in {
        findings.push(problem(
            format!(
                "GStreamer has blacklisted the plug-in in {}: it could not be loaded once",
                registry.display()
            ),
            format!(
                "delete that file, then see why with: GST_DEBUG=GST_PLUGIN_LOADING:4 gst-inspect-1.0 {}",
                preload_path(facts)
            ),
        ));
    }
    findings
}

fn way_in(facts: &Facts) -> Vec<Finding> {
    let named =
        facts.tracers.as_deref().is_some_and(|list| list.split(';').any(|t| tracer_name(t) == "stbeacon"));
    let preloaded = facts
        .preload
        .as_deref()
        .is_some_and(|list| list.split([':', ' ']).any(|file| file.rsplit('/').next() == Some(PLUGIN_FILE)));
    let hooks = facts.has_tracer_hooks();
    let set_up = "start the player with GST_TRACERS=stbeacon (or with LD_PRELOAD, where GStreamer has no tracer hooks)";

    let Some(player) = &facts.player else {
        return vec![match (named && hooks, preloaded) {
            (true, _) => fine("GST_TRACERS names stbeacon in this environment"),
            (_, true) => fine("LD_PRELOAD names the plug-in in this environment"),
            _ => note("this environment sets neither GST_TRACERS nor LD_PRELOAD for the plug-in", set_up),
        }];
    };
    let who = format!("{} (pid {})", player.name, player.pid);
    if player.loaded {
        return vec![fine(format!("the plug-in is loaded into {who}"))];
    }
    let restart = "it is read once, when the process starts: restart the player";
    vec![match (named, preloaded) {
        _ if preloaded && player.secure => problem(
            format!(
                "LD_PRELOAD is set for {who}, but it runs with raised privileges, where the loader ignores it"
            ),
            "use GST_TRACERS, or start it without set-user-id and file capabilities",
        ),
        (_, true) => problem(format!("LD_PRELOAD is set for {who}, but the plug-in is not loaded"), restart),
        (true, _) if hooks => problem(
            format!("GST_TRACERS is set for {who}, but the plug-in is not loaded"),
            "look for the reason with GST_DEBUG=GST_TRACER:5,GST_PLUGIN_LOADING:4 in the player's environment",
        ),
        (true, _) => problem(
            format!("GST_TRACERS is set for {who}, whose GStreamer has no tracer hooks"),
            format!("start it with LD_PRELOAD={} instead", preload_path(facts)),
        ),
        (false, false) => problem(format!("{who} was started without GST_TRACERS and LD_PRELOAD"), set_up),
    }]
}

fn socket(facts: &Facts) -> Vec<Finding> {
    let path = facts.socket.display();
    vec![match &facts.reach {
        Reach::Reachable => fine(format!("the daemon answers on {path}")),
        Reach::Missing => {
            problem(format!("there is no {path}"), "start the daemon: systemctl start stbeacon")
        }
        Reach::Dead => {
            problem(format!("nobody listens on {path}"), "start the daemon: systemctl start stbeacon")
        }
        Reach::OtherNamespace => problem(
            format!("the player does not see the daemon's {path}: it has a mount namespace of its own"),
            "bind the socket's directory into it (systemd: BindPaths=/run/stbeacon)",
        ),
        Reach::Denied { uid } => problem(
            format!("user id {uid}, as which the player runs, may not write to {path}"),
            "add that user to the socket's group: usermod -aG stbeacon USER",
        ),
        Reach::Unknown(why) => {
            note(format!("{path} could not be looked at: {why}"), "run this command as root")
        }
    }]
}

/// `name` of one entry of GST_TRACERS, which reads `name` or `name(parameters)`.
fn tracer_name(entry: &str) -> &str {
    entry.split('(').next().unwrap_or(entry).trim()
}

fn preload_path(facts: &Facts) -> String {
    facts.plugins.first().map_or_else(|| PLUGIN_FILE.to_owned(), |path| path.display().to_string())
}

fn fine(text: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Fine, text: text.into(), remedy: None }
}

fn note(text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Note, text: text.into(), remedy: Some(remedy.into()) }
}

fn problem(text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Problem, text: text.into(), remedy: Some(remedy.into()) }
}

// === impl Facts ===

impl Facts {
    /// The plug-in that GStreamer would take.
    pub(crate) fn plugin(&self) -> Option<&Path> {
        self.plugins.first().map(PathBuf::as_path)
    }

    /// Whether `GST_TRACERS` works; where there is no GStreamer to look at, it is taken to.
    pub(crate) fn has_tracer_hooks(&self) -> bool {
        self.core.as_ref().is_none_or(|core| core.hooks)
    }
}

// === impl Finding ===

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Verdict::Fine => "ok      ",
            Verdict::Note => "note    ",
            Verdict::Problem => "problem ",
        };
        write!(f, "{mark}{}", self.text)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n        → {remedy}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn healthy() -> Facts {
        Facts {
            player: Some(Player { pid: 412, name: "acme-tv".into(), loaded: true, secure: false }),
            core: Some(Core { path: "/usr/lib/libgstreamer-1.0.so.0".into(), hooks: true }),
            plugins: vec!["/usr/lib/gstreamer-1.0/libgststbeacon.so".into()],
            searched: vec!["/usr/lib/gstreamer-1.0".into()],
            tracers: Some("stbeacon".into()),
            socket: "/run/stbeacon/player.sock".into(),
            ..Facts::default()
        }
    }

    fn not_loaded(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = healthy();
        if let Some(player) = &mut facts.player {
            player.loaded = false;
        }
        change(&mut facts);
        facts
    }

    fn with(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = healthy();
        change(&mut facts);
        facts
    }

    #[test]
    fn a_player_that_is_seen_has_no_problem() {
        assert!(diagnose(&healthy()).iter().all(|f| f.verdict == Verdict::Fine));
    }

    #[test]
    fn a_player_that_brings_the_plug_in_along_needs_none_on_the_path() {
        let facts = with(|f| f.plugins.clear());
        assert!(diagnose(&facts).iter().all(|f| f.verdict == Verdict::Fine));
    }

    #[rstest]
    #[case::no_gstreamer_in_it(not_loaded(|f| f.core = None), "has not loaded libgstreamer")]
    #[case::no_plug_in(not_loaded(|f| f.plugins.clear()), "no libgststbeacon.so in /usr/lib/gstreamer-1.0")]
    #[case::blacklisted(not_loaded(|f| f.blacklisted_in = Some("/r.bin".into())), "blacklisted the plug-in in /r.bin")]
    #[case::not_asked_for(not_loaded(|f| f.tracers = None), "started without GST_TRACERS and LD_PRELOAD")]
    #[case::other_tracer(not_loaded(|f| f.tracers = Some("leaks;latency".into())), "started without GST_TRACERS")]
    #[case::asked_for_in_vain(not_loaded(|_| ()), "GST_TRACERS is set for acme-tv (pid 412), but the plug-in")]
    #[case::no_hooks(
        not_loaded(|f| f.core = Some(Core { path: "/l".into(), hooks: false })),
        "whose GStreamer has no tracer hooks"
    )]
    #[case::secure(
        not_loaded(|f| {
            f.preload = Some("/a/libgststbeacon.so".into());
            if let Some(player) = &mut f.player { player.secure = true; }
        }),
        "runs with raised privileges"
    )]
    #[case::preloaded_in_vain(not_loaded(|f| f.preload = Some("/x.so:/a/libgststbeacon.so".into())), "LD_PRELOAD is set")]
    #[case::no_socket(with(|f| f.reach = Reach::Missing), "there is no /run/stbeacon/player.sock")]
    #[case::no_daemon(with(|f| f.reach = Reach::Dead), "nobody listens on")]
    #[case::container(with(|f| f.reach = Reach::OtherNamespace), "mount namespace of its own")]
    #[case::user(with(|f| f.reach = Reach::Denied { uid: 1000 }), "user id 1000")]
    fn each_obstacle_is_named_with_a_remedy(#[case] facts: Facts, #[case] text: &str) {
        let problems: Vec<_> =
            diagnose(&facts).into_iter().filter(|f| f.verdict == Verdict::Problem).collect();
        assert!(problems.iter().any(|p| p.text.contains(text)), "{problems:#?}");
        assert!(problems.iter().all(|p| p.remedy.is_some()));
    }

    #[test]
    fn a_core_without_hooks_is_no_problem_for_a_preloaded_player() {
        let facts = with(|f| f.core = Some(Core { path: "/l".into(), hooks: false }));
        assert!(diagnose(&facts).iter().all(|f| f.verdict < Verdict::Problem));
    }
}
