//! The commands as a user types them.

use crate::common::{TestBox, media_only, stbeacon, stderr, stdout};
use rstest::rstest;

#[rstest]
#[case::overview(&["--help"])]
#[case::run(&["run", "--help"])]
#[case::status(&["status", "-h"])]
#[case::check(&["check", "--help"])]
#[case::sample(&["sample", "--help"])]
#[case::elements(&["elements", "--help"])]
#[case::enable_tracer(&["enable-tracer", "--help"])]
#[case::ts(&["ts", "--help"])]
fn help_has_usage_examples_and_exit_codes(#[case] args: &[&str]) {
    let output = stbeacon(args).output().unwrap();
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("Usage: stbeacon") && text.contains("Exit codes:"), "{text}");
    assert!(args.len() == 1 || text.contains("Examples:"), "{text}");
}

#[test]
fn version() {
    let output = stbeacon(&["--version"]).output().unwrap();
    assert_eq!(stdout(&output), concat!("stbeacon ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[rstest]
#[case::none(&[], "which command?")]
#[case::unknown(&["frobnicate"], "no command \"frobnicate\"")]
#[case::option(&["run", "--frobnicate"], "--frobnicate")]
#[case::missing_value(&["run", "--socket"], "--socket")]
#[case::log_level(&["run", "--log", "loud"], "none of error, warn, info, debug")]
#[case::check_nothing(&["check"], "which file?")]
#[case::sample_nothing(&["sample", "--interfaces", ","], "needs a pattern")]
fn a_wrong_command_line_is_told_and_exits_with_2(#[case] args: &[&str], #[case] part: &str) {
    let output = stbeacon(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(part), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "one line: {}", stderr(&output));
}

fn check(text: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let test_box = TestBox::new(text);
    let output = stbeacon(&["check"]).args(args).arg(test_box.path("provision.xml")).output().unwrap();
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn check_takes_a_good_file_and_tells_what_it_ignores() {
    let text = media_only("http://stats.example.net/drop", 0);
    let (code, out, _) = check(&text, &["--quiet"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("provision.xml: good"), "{out}");
    assert!(out.contains("provision.xml:1:") && out.contains("note:"), "{out}");
}

#[test]
fn check_names_file_line_and_column() {
    let (code, out, err) = check("<provision>\n  <statistics url=\"ftp://x\"/>\n</provision>", &[]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("provision.xml:2:") && err.contains("http://"), "{err}");
    let (code, _, err) = check("cat <<EOF > provision.xml\n<provision>", &[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("provision.xml:1:1"), "{err}");
}

#[test]
fn check_explains_every_default() {
    let (code, out, _) = check(&media_only("http://user:hunter2@h.example/drop?token=1", 60), &["--explain"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("accum_period") && out.contains("60 s") && out.contains("default"), "{out}");
    assert!(!out.contains("token") && !out.contains("hunter2"), "{out}");
}

#[test]
fn check_of_no_file() {
    let output = stbeacon(&["check", "/no/such.xml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/no/such.xml: No such file"), "{}", stderr(&output));
}

#[test]
fn status_without_a_daemon_says_how_to_start_one() {
    let output = stbeacon(&["status", "--control", "/no/such.sock"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("stbeacon run"), "{}", stderr(&output));
}

#[test]
fn run_needs_a_directory_for_its_socket() {
    let test_box = TestBox::new(&media_only("http://127.0.0.1:9/", 60));
    let output = test_box.run_command().args(["--socket", "/no/such/player.sock"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = stderr(&output);
    let last = text.lines().last().unwrap();
    assert!(last.contains("/no/such") && last.contains("mkdir -p"), "{text}");
}

#[test]
fn run_without_any_good_provisioning_exits_with_1() {
    let test_box = TestBox::new("<provision>\n<statistics");
    let output = test_box.run_command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("provision.xml:2:"), "{}", stderr(&output));
}
