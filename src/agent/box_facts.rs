//! What the box says of itself, for those outputs that tell it.

use std::fs;
use std::path::Path;

use stbeacon_core::beacon::guid;

use crate::{files, random};

/// The box's own id, in the state directory.
const VIEWER_ID: &str = "viewer-id";

/// The box, as far as it tells. What is unknown is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BoxFacts {
    /// An id that it keeps across restarts, made at random once.
    pub(crate) viewer_id: String,
    /// Its model.
    pub(crate) model: String,
    /// Its operating system, such as `Debian GNU/Linux`.
    pub(crate) os: String,
    /// The same with its version.
    pub(crate) full_os: String,
    /// The version of it.
    pub(crate) os_version: String,
}

// === impl BoxFacts ===

impl BoxFacts {
    /// Looks. The id is made where there is none yet.
    pub(crate) fn read(state_directory: &Path) -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let of = |key| os_release(&release, key).unwrap_or_default();
        let os = Some(of("NAME")).filter(|name| !name.is_empty()).unwrap_or_else(|| "Linux".to_owned());
        let full_os = Some(of("PRETTY_NAME")).filter(|name| !name.is_empty()).unwrap_or_else(|| os.clone());
        Self {
            viewer_id: viewer_id(&state_directory.join(VIEWER_ID)),
            model: model(),
            os,
            full_os,
            os_version: of("VERSION_ID"),
        }
    }
}

/// Memory of this process that is in RAM (`VmRSS`, proc_pid_status(5)); 0 where that cannot be read.
pub(crate) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

fn viewer_id(file: &Path) -> String {
    let known = fs::read_to_string(file).unwrap_or_default();
    let known = known.trim();
    if (8..=64).contains(&known.len()) && known.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return known.to_owned();
    }
    let made = guid(random::bits());
    if let Err(error) = files::replace(file, format!("{made}\n").as_bytes()) {
        log::warn!("{}: {error}; the box has another viewer id after a restart", file.display());
    }
    made
}

/// From the device tree (`/proc/device-tree/model`), or the firmware's tables on a PC.
fn model() -> String {
    let read = |path| fs::read_to_string(path).ok();
    let text = read("/proc/device-tree/model").or_else(|| read("/sys/class/dmi/id/product_name"));
    text.unwrap_or_default().trim_matches(['\0', '\n', ' ']).to_owned()
}

/// A value of os-release(5).
fn os_release(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    let quoted = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    Some(quoted('"').or_else(|| quoted('\'')).unwrap_or(value).replace('\\', ""))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::quoted("NAME", Some("Box OS"))]
    #[case::bare("ID", Some("boxos"))]
    #[case::single("VERSION", Some("1.2 (Pine)"))]
    #[case::longer_key("VERSION_ID", Some("1.2"))]
    #[case::missing("BUG_URL", None)]
    fn os_release_is_read(#[case] key: &str, #[case] value: Option<&str>) {
        let text = "# the box\nNAME=\"Box OS\"\nID=boxos\nVERSION='1.2 (Pine)'\nVERSION_ID=1.2\n";
        assert_eq!(os_release(text, key).as_deref(), value);
    }

    #[test]
    fn the_id_stays() {
        let directory = tempfile::tempdir().unwrap();
        let first = BoxFacts::read(directory.path());
        assert_eq!(first.viewer_id.len(), 36);
        assert_eq!(BoxFacts::read(directory.path()), first);
        fs::write(directory.path().join(VIEWER_ID), "?").unwrap();
        assert_ne!(BoxFacts::read(directory.path()).viewer_id, first.viewer_id, "nonsense is replaced");
    }
}
