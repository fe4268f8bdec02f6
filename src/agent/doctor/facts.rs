//! Facts about a player, read from /proc and the file system.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::findings::{Core, Facts, PLUGIN_FILE, Player, Reach};

const CORE_FILE: &str = "libgstreamer-1.0.so.0";

/// `AT_SECURE` of the auxiliary vector (getauxval(3)).
const AT_SECURE: usize = 23;

/// Where libraries are on the systems that boxes are made of.
const LIBRARY_DIRS: [&str; 5] = ["/usr/local/lib", "/usr/lib", "/lib", "/usr/lib64", "/lib64"];

/// Everything about a running process that decides whether it is seen.
///
/// # Errors
/// Where the process is gone, or belongs to somebody else and we are not root.
pub(super) fn of_process(pid: u32, socket: Option<&Path>) -> io::Result<Facts> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let environ = Environ(std::fs::read(proc.join("environ"))?);
    let maps = std::fs::read_to_string(proc.join("maps"))?;
    let name = std::fs::read_to_string(proc.join("comm"))?.trim_end().to_owned();
    let root = proc.join("root");

    let core = mapped(&maps, CORE_FILE);
    let loaded = mapped(&maps, PLUGIN_FILE).is_some();
    let secure = std::fs::read(proc.join("auxv")).is_ok_and(|auxv| is_secure(&auxv));
    let player = Player { pid, name, loaded, secure };
    let mut facts = in_environment(&environ, core.as_deref(), &root);
    if let Some(socket) = socket {
        facts.socket = socket.to_owned();
    }
    facts.reach = reach(&proc, &root, &facts.socket);
    facts.player = Some(player);
    Ok(facts)
}

/// What a player started from this environment would find.
pub(crate) fn of_this_environment(socket: Option<&Path>) -> Facts {
    let environ = Environ::own();
    let core = library_dirs().into_iter().map(|dir| dir.join(CORE_FILE)).find(|path| path.exists());
    let mut facts = in_environment(&environ, core.as_deref(), Path::new("/"));
    if let Some(socket) = socket {
        facts.socket = socket.to_owned();
    }
    facts.reach = match std::fs::symlink_metadata(&facts.socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Reach::Missing,
        Err(error) => Reach::Unknown(error.to_string()),
        Ok(_) => answers(&facts.socket),
    };
    facts
}

/// The processes that have GStreamer loaded and that we may look at.
pub(super) fn players() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"));
            maps.is_ok_and(|maps| mapped(&maps, CORE_FILE).is_some())
        })
        .collect();
    pids.sort_unstable();
    pids
}

fn in_environment(environ: &Environ, core: Option<&Path>, root: &Path) -> Facts {
    let core_dir = core.and_then(Path::parent);
    let searched = plugin_dirs(environ, core_dir);
    let plugins = searched
        .iter()
        .map(|dir| dir.join(PLUGIN_FILE))
        .filter(|path| inside(root, path).is_file())
        .collect();
    Facts {
        core: core.map(|path| Core { path: path.to_owned(), hooks: has_tracer_hooks(&inside(root, path)) }),
        plugins,
        searched,
        blacklisted_in: registries(environ).into_iter().find(|path| blacklists_us(&inside(root, path))),
        tracers: environ.text("GST_TRACERS"),
        preload: environ.text("LD_PRELOAD"),
        socket: environ
            .path(stbeacon_core::player::SOCKET_ENV)
            .unwrap_or_else(|| stbeacon_core::player::DEFAULT_SOCKET.into()),
        ..Facts::default()
    }
}

/// `path` as seen by a process whose root directory is `root`.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The directories in which GStreamer looks for plug-ins, in its order (gst_init, "Environment variables").
fn plugin_dirs(environ: &Environ, core_dir: Option<&Path>) -> Vec<PathBuf> {
    let mut dirs = environ.paths(&["GST_PLUGIN_PATH_1_0", "GST_PLUGIN_PATH"]);
    let system = environ.paths(&["GST_PLUGIN_SYSTEM_PATH_1_0", "GST_PLUGIN_SYSTEM_PATH"]);
    if system.is_empty() {
        let data = environ.path("XDG_DATA_HOME").or_else(|| Some(environ.path("HOME")?.join(".local/share")));
        dirs.extend(data.map(|data| data.join("gstreamer-1.0/plugins")));
        dirs.extend(core_dir.map(|dir| dir.join("gstreamer-1.0")));
    }
    dirs.extend(system);
    dirs
}

/// The files in which GStreamer remembers what its plug-ins have.
fn registries(environ: &Environ) -> Vec<PathBuf> {
    let named = ["GST_REGISTRY_1_0", "GST_REGISTRY"].into_iter().find_map(|name| environ.path(name));
    if let Some(named) = named {
        return vec![named];
    }
    let cache = environ.path("XDG_CACHE_HOME").or_else(|| Some(environ.path("HOME")?.join(".cache")));
    let Some(dir) = cache.map(|cache| cache.join("gstreamer-1.0")) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(&dir) else { return Vec::new() };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension() == Some("bin".as_ref()))
        .collect()
}

/// Whether a registry says that our plug-in could not be loaded. A blacklisted file stands there under this
/// description, followed by its path.
fn blacklists_us(registry: &Path) -> bool {
    let Ok(bytes) = std::fs::read(registry) else { return false };
    let mut texts = bytes.split(|&byte| byte == 0);
    while let Some(text) = texts.next() {
        if text.ends_with(b"Plugin for blacklisted file") {
            let path = texts.next().unwrap_or_default();
            if Path::new(OsStr::from_bytes(path)).file_name() == Some(PLUGIN_FILE.as_ref()) {
                return true;
            }
        }
    }
    false
}

/// A core without tracer hooks does not know the name of their variable.
fn has_tracer_hooks(core: &Path) -> bool {
    let name = b"GST_TRACERS";
    std::fs::read(core).is_ok_and(|bytes| bytes.windows(name.len()).any(|window| window == name))
}

/// The mapped file of this name (versions may follow it).
fn mapped(maps: &str, file: &str) -> Option<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
    let mut named = paths.filter(|path| path.rsplit('/').next().is_some_and(|name| name.starts_with(file)));
    named.next().map(|path| path.trim_end_matches(" (deleted)").into())
}

fn is_secure(auxv: &[u8]) -> bool {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).unwrap_or_default();
    auxv.chunks_exact(2 * WORD)
        .map(|pair| pair.split_at(WORD))
        .any(|(key, value)| word(key) == AT_SECURE && word(value) != 0)
}

/// Whether a process can reach the daemon.
fn reach(proc: &Path, root: &Path, socket: &Path) -> Reach {
    let theirs = match std::fs::metadata(inside(root, socket)) {
        Ok(theirs) => theirs,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if socket.exists() { Reach::OtherNamespace } else { Reach::Missing };
        }
        Err(error) => return Reach::Unknown(error.to_string()),
    };
    match std::fs::metadata(socket) {
        Ok(ours) if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) => {}
        Ok(_) => return Reach::OtherNamespace,
        // The process has a socket that we do not see: it is we who stand elsewhere.
        Err(_) => return Reach::Unknown("the player sees a socket that this command does not".into()),
    }
    let Ok(status) = std::fs::read_to_string(proc.join("status")) else {
        return Reach::Unknown("its user is not known".into());
    };
    let (uid, groups) = credentials(&status);
    if !may_write(theirs.mode(), theirs.uid(), theirs.gid(), uid, &groups) {
        return Reach::Denied { uid };
    }
    answers(socket)
}

/// Whether somebody accepts connections there.
fn answers(socket: &Path) -> Reach {
    match super::connect(socket) {
        Ok(()) => Reach::Reachable,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Reach::Dead,
        Err(error) => Reach::Unknown(error.to_string()),
    }
}

/// Effective user id, and all groups, of a `/proc/PID/status`.
fn credentials(status: &str) -> (u32, Vec<u32>) {
    let numbers = |field: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.map(|line| line.split_whitespace().filter_map(|n| n.parse().ok()).collect()).unwrap_or_default()
    };
    let effective = |field: &str| numbers(field).get(1).copied().unwrap_or(u32::MAX);
    let mut groups = numbers("Groups:");
    groups.push(effective("Gid:"));
    (effective("Uid:"), groups)
}

/// Connecting to a socket file needs write permission on it (unix(7)).
fn may_write(mode: u32, owner: u32, group: u32, uid: u32, groups: &[u32]) -> bool {
    let bit = match () {
        () if uid == 0 => return true,
        () if uid == owner => 0o200,
        () if groups.contains(&group) => 0o020,
        () => 0o002,
    };
    mode & bit != 0
}

fn library_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::env::var_os("LD_LIBRARY_PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    for dir in LIBRARY_DIRS {
        // Debian and Yocto multilib keep a directory for each architecture below.
        let nested =
            std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut nested: Vec<_> = nested.filter(|path| path.to_string_lossy().contains("-linux-")).collect();
        nested.sort();
        dirs.push(dir.into());
        dirs.append(&mut nested);
    }
    dirs
}

/// A process's environment: `NAME=value` entries, each ended by a zero byte.
struct Environ(Vec<u8>);

// === impl Environ ===

impl Environ {
    fn own() -> Self {
        let mut bytes = Vec::new();
        for (name, value) in std::env::vars_os() {
            bytes.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
        }
        Self(bytes)
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0
            .split(|&byte| byte == 0)
            .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.bytes(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.bytes(name).filter(|bytes| !bytes.is_empty()).map(|bytes| OsStr::from_bytes(bytes).into())
    }

    /// The colon list of the first of these variables that is set.
    fn paths(&self, names: &[&str]) -> Vec<PathBuf> {
        let list = names.iter().find_map(|name| self.bytes(name)).unwrap_or_default();
        let parts = list.split(|&byte| byte == b':').filter(|part| !part.is_empty());
        parts.map(|part| OsStr::from_bytes(part).into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::root(0o600, 9, 9, 0, &[0], true)]
    #[case::owner(0o600, 5, 9, 5, &[], true)]
    #[case::owner_without(0o060, 5, 9, 5, &[9], false)]
    #[case::group(0o660, 0, 9, 5, &[9], true)]
    #[case::other(0o660, 0, 9, 5, &[8], false)]
    #[case::world(0o666, 0, 9, 5, &[8], true)]
    fn permission_is_the_kernels(
        #[case] mode: u32,
        #[case] owner: u32,
        #[case] group: u32,
        #[case] uid: u32,
        #[case] groups: &[u32],
        #[case] may: bool,
    ) {
        assert_eq!(may_write(mode, owner, group, uid, groups), may);
    }

    #[test]
    fn reads_effective_ids() {
        let status = "Name:\tx\nUid:\t1\t1000\t3\t4\nGid:\t5\t100\t7\t8\nGroups:\t44 29 \n";
        assert_eq!(credentials(status), (1000, vec![44, 29, 100]));
    }

    #[test]
    fn finds_mapped_files_whatever_follows_the_name() {
        let maps = "7f00-7f01 r-xp 0 fe:00 1   /usr/lib/x/libgstreamer-1.0.so.0.2200.0\n7f02-7f03 rw-p 0 0 0 [heap]\n";
        assert_eq!(mapped(maps, CORE_FILE), Some("/usr/lib/x/libgstreamer-1.0.so.0.2200.0".into()));
        assert_eq!(mapped(maps, PLUGIN_FILE), None);
    }

    #[test]
    fn secure_mode_is_read_from_the_auxiliary_vector() {
        let auxv = |secure: usize| [3, 64, AT_SECURE, secure, 0, 0].map(usize::to_ne_bytes).concat();
        assert!(is_secure(&auxv(1)));
        assert!(!is_secure(&auxv(0)));
        assert!(!is_secure(b"short"));
    }

    #[rstest]
    #[case::ours(
        b"\x01libgststbeacon.so\0Plugin for blacklisted file\0/p/libgststbeacon.so\x000.0.0\0",
        true
    )]
    #[case::another(b"libx.so\0Plugin for blacklisted file\0/p/libx.so\x000.0.0\0", false)]
    #[case::loaded_well(b"stbeacon\0Watches pipelines\0/p/libgststbeacon.so\x000.1.0\0", false)]
    fn a_registry_tells_what_it_blacklists(#[case] registry: &[u8], #[case] ours: bool) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), registry).unwrap();
        assert_eq!(blacklists_us(file.path()), ours);
    }

    #[test]
    fn plugins_are_looked_for_where_gstreamer_does() {
        let environ = Environ(b"HOME=/h\0GST_PLUGIN_PATH=/a:/b\0".to_vec());
        let dirs = plugin_dirs(&environ, Some(Path::new("/usr/lib/arm")));
        let expected = ["/a", "/b", "/h/.local/share/gstreamer-1.0/plugins", "/usr/lib/arm/gstreamer-1.0"];
        assert_eq!(dirs, expected.map(PathBuf::from));
        let environ = Environ(b"GST_PLUGIN_SYSTEM_PATH_1_0=/s\0".to_vec());
        assert_eq!(plugin_dirs(&environ, Some(Path::new("/l"))), [PathBuf::from("/s")]);
    }
}
