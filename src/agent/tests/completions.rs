//! bash's completion, in a real bash: it asks the program itself what there is.

use std::process::Command;

use rstest::rstest;

use crate::common::{stderr, stdout};

#[rstest]
#[case::command(&["stbeacon", "en"], "enable-tracer")]
#[case::options(&["stbeacon", "enable-tracer", "--r"], "--root --runtime --remove")]
#[case::option_with_a_short_form(&["stbeacon", "play", "--dry"], "--dry-run")]
#[case::values(&["stbeacon", "run", "--log", "de"], "debug")]
#[case::overview(&["stbeacon", "--vers"], "--version")]
fn bash_completes(#[case] words: &[&str], #[case] expected: &str) {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_stbeacon"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/completions/stbeacon.bash");
    let ask = r#"source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _stbeacon; echo "${COMPREPLY[*]}""#;
    let output =
        Command::new("bash").env("PATH", path).args(["-c", ask, script]).args(words).output().unwrap();
    assert_eq!(stdout(&output).trim(), expected, "{}", stderr(&output));
}
