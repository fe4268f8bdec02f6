//! Files that hold a secret.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Passwords and tokens are shorter.
const MAX_BYTES: u64 = 64 * 1024;

/// The permission bits of group and others.
const NOT_OWNER: u32 = 0o077;

/// Reads a secret. One that anybody but its owner may read is refused: it is none any more.
///
/// # Errors
/// Says which file it is, what is wrong, and what to do.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let fail = |error: io::Error| format!("{shown}: {error}");
    let file = File::open(path).map_err(fail)?;
    // Of the open file: the name may lead elsewhere by now.
    let mode = file.metadata().map_err(fail)?.mode();
    if mode & NOT_OWNER != 0 {
        return Err(format!(
            "{shown}: refused, since others than its owner may open it (mode {:04o}); chmod 600 it",
            mode & 0o7777
        ));
    }
    let mut secret = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut secret).map_err(fail)?;
    if secret.is_empty() {
        return Err(format!("{shown}: empty; put the secret into it"));
    }
    Ok(secret)
}

/// Reads a secret that is one line of text; the line's end is not part of it.
///
/// # Errors
/// As [`read`], and where it holds what no header can.
pub(crate) fn read_line(path: &Path) -> Result<String, String> {
    let text = String::from_utf8(read(path)?).map_err(|_| format!("{}: not UTF-8 text", path.display()))?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(format!("{}: expected one line that holds the secret", path.display()));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::good("s3cret\n", 0o600, Ok("s3cret"))]
    #[case::read_only(" with space ", 0o400, Ok(" with space "))]
    #[case::group_may_read("s3cret", 0o640, Err("chmod 600"))]
    #[case::world_may_read("s3cret", 0o604, Err("chmod 600"))]
    #[case::empty("", 0o600, Err("empty"))]
    #[case::two_lines("a\nb\n", 0o600, Err("one line"))]
    #[case::only_a_line_end("\n", 0o600, Err("one line"))]
    fn one_line(#[case] text: &str, #[case] mode: u32, #[case] expected: Result<&str, &str>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stats.secret");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match (read_line(&path), expected) {
            (Ok(secret), Ok(expected)) => assert_eq!(secret, expected),
            (Err(error), Err(part)) => {
                assert!(error.contains(part) && error.contains("stats.secret"), "{error}");
                assert!(!error.contains("s3cret"), "{error}");
            }
            (result, _) => panic!("{result:?}"),
        }
    }
}
