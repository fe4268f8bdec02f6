//! A second attempt, alone, for tests that failed in company.
//!
//! Tests of programs play in real time, mount file systems and start processes, several at once and beside compilers, on
//! machines that others use, too. One that failed there is run again by itself: if it fails again, it is at fault. One
//! that passes then is told by name in the result, because it is at fault as well, or what it tests is, only not in every
//! run.

use std::fs::File;
use std::io::{Read as _, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::ui;

/// That many tests may be told by the company they had; more are told by a fault.
const MOST: usize = 3;
/// How soon what the tests print is shown.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a run of tests printed of itself, as libtest does it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Names of tests that failed.
    failed: Vec<String>,
    /// How many failed, named above or not.
    failures: usize,
    /// How many passed.
    passed: usize,
    /// Programs that began their tests, and did not come to the end of them.
    aborted: usize,
}

/// Runs tests, and those that fail once more, alone: `make` gives the command, with what is to be added to it. What they
/// print goes to a file, and from there to `show`. Returns the names of those that passed at their second attempt.
///
/// # Errors
/// If tests fail twice, or too many do at once, or the run cannot tell which they are.
pub(super) fn run(
    make: impl Fn(&[&str]) -> Command,
    log: &Path,
    show: &mut impl Write,
) -> Result<Vec<String>, String> {
    // All of the test programs run, whatever the first of them says.
    let (success, told) = watch(&mut make(&["--no-fail-fast"]), log, show)?;
    if success {
        return Ok(Vec::new());
    }
    if told.aborted > 0 || told.failures != told.failed.len() {
        return Err(
            "a test program ended before its tests did, or does not say which of them failed".to_owned()
        );
    }
    match told.failed.len() {
        0 => return Err("the tests failed, and do not say which".to_owned()),
        1..=MOST => {}
        many => return Err(format!("{many} tests failed")),
    }
    let note = ui::red(&format!("Failed, and run again alone: {}", told.failed.join(", ")));
    // Standard output that is gone is no reason to stop working.
    let _ = writeln!(show, "{note}");
    let names: Vec<_> = told.failed.iter().map(String::as_str).collect();
    let mut alone = make(&[&["--no-fail-fast", "--", "--exact"], &names[..]].concat());
    let (success, again) = watch(alone.env("RUST_TEST_THREADS", "1"), log, show)?;
    // A name that no test has would be run by none, which is a success to libtest.
    if success && again.aborted == 0 && again.passed >= names.len() {
        Ok(told.failed)
    } else {
        Err(format!("failed, and of {} run again {} passed", names.len(), again.passed))
    }
}

/// Runs it with its output shown, and reads that, too. Through a file: a pipe would have no end where a test has left a
/// process behind.
fn watch(command: &mut Command, log: &Path, show: &mut impl Write) -> Result<(bool, Told), String> {
    let failed = |e: std::io::Error| format!("the tests: {e}");
    let mut child = command.stdout(File::create(log).map_err(failed)?).spawn().map_err(failed)?;
    let mut output = File::open(log).map_err(failed)?;
    let mut printed = Vec::new();
    let status = loop {
        // Asked first: what it printed at its end is read after it.
        let status = child.try_wait().map_err(failed)?;
        let shown = printed.len();
        output.read_to_end(&mut printed).map_err(failed)?;
        let new = printed.get(shown..).unwrap_or_default();
        // Standard output that is gone is no reason to stop working.
        let _ = show.write_all(new).and_then(|()| show.flush());
        match status {
            Some(status) => break status,
            None => thread::sleep(LOOK_EVERY),
        }
    };
    Ok((status.success(), Told::read(&String::from_utf8_lossy(&printed))))
}

// === impl Told ===

impl Told {
    fn read(printed: &str) -> Self {
        let mut told = Self::default();
        let mut names = Vec::new();
        let mut listing = false;
        for line in printed.lines() {
            if is_begin(line) {
                told.aborted += 1;
            } else if line == "failures:" {
                // What the failed tests printed comes under such a line, too, and before the list.
                names.clear();
                listing = true;
            } else if let Some(result) = line.strip_prefix("test result: ") {
                told.failed.append(&mut names);
                told.passed += count(result, "passed");
                told.failures += count(result, "failed");
                told.aborted = told.aborted.saturating_sub(1);
                listing = false;
            } else if let Some(name) = line.strip_prefix("    ").filter(|_| listing) {
                if !name.contains(char::is_whitespace) {
                    names.push(name.to_owned());
                }
            } else if !line.is_empty() {
                listing = false;
            }
        }
        told
    }
}

/// Whether it is `running 3 tests`.
fn is_begin(line: &str) -> bool {
    let number = line.strip_prefix("running ").and_then(|rest| rest.split_once(" test"));
    number.is_some_and(|(number, end)| number.parse::<usize>().is_ok() && matches!(end, "" | "s"))
}

/// How many of a kind there are in `ok. 3 passed; 0 failed; …`.
fn count(result: &str, kind: &str) -> usize {
    let parts = result.split_once(". ").map_or("", |(_, counts)| counts).split(';');
    let mut numbers = parts.filter_map(|part| part.strip_suffix(kind)?.trim().parse().ok());
    numbers.next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::sink;

    use super::*;

    const RUN: &str = "
running 32 tests
................................
test result: ok. 32 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.08s


running 307 tests
........... 87/307
lines::what_was_done::way_1 --- FAILED
..... 307/307

failures:

---- lines::what_was_done::way_1 stdout ----

thread 'lines::what_was_done::way_1' panicked at tests/tests/lines.rs:13:5:
failures:
    of another kind
    not::a::test
the player: [
    Said {

---- hangs stdout ----
Error: timed out

failures:
    hangs
    lines::what_was_done::way_1

test result: FAILED. 305 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 250.00s

error: test failed, to rerun pass `-p stbeacon-tests --test whole`
";

    #[test]
    fn what_failed_is_read_from_the_list_alone() {
        let failed = vec!["hangs".to_owned(), "lines::what_was_done::way_1".to_owned()];
        assert_eq!(Told::read(RUN), Told { failed, failures: 2, passed: 337, aborted: 0 });
        assert_eq!(Told::read("error: could not compile `stbeacon-tests`"), Told::default());
    }

    /// A stand-in for cargo: what it prints, and how it ends.
    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]);
        command
    }

    fn attempts(make: impl Fn(&[&str]) -> Command) -> Result<Vec<String>, String> {
        let directory = tempfile::tempdir().unwrap();
        run(make, &directory.path().join("log"), &mut sink())
    }

    fn outcome(second: &str) -> Result<Vec<String>, String> {
        let first =
            "printf 'failures:\\n    a::b\\n\\ntest result: FAILED. 1 passed; 1 failed;\\n'; exit 101";
        attempts(|args| {
            let mut command = shell(if args.contains(&"--exact") { second } else { first });
            command.args(args);
            command
        })
    }

    #[test]
    fn a_second_attempt_decides() {
        let passes =
            "[ \"$4 $RUST_TEST_THREADS\" = 'a::b 1' ] && echo 'test result: ok. 1 passed; 0 failed;'";
        assert_eq!(outcome(passes), Ok(vec!["a::b".to_owned()]));
        assert!(outcome("echo 'test result: FAILED. 0 passed; 1 failed;'; exit 101").is_err());
        assert!(outcome("echo 'test result: ok. 0 passed; 0 failed;'").is_err(), "none was run");
    }

    /// What is not named cannot be run again, and so not be made up for by what can: an example of the documentation, a
    /// program that a signal has ended.
    #[test]
    fn what_is_not_named_is_not_forgiven() {
        let example =
            "failures:\n    a::b\n    src/lib.rs - a (line 7)\n\ntest result: FAILED. 1 passed; 2 failed;";
        let signal = "running 9 tests\n....\nrunning 2 tests\n.F\nfailures:\n    a::b\n\ntest result: FAILED. 1 passed; 1 failed;";
        for first in [example, signal] {
            let outcome = attempts(|args| {
                let second = "echo 'test result: ok. 1 passed; 0 failed;'";
                let mut command =
                    shell(if args.contains(&"--exact") { second } else { "echo \"$FIRST\"; exit 101" });
                command.args(args).env("FIRST", first);
                command
            });
            assert!(outcome.is_err(), "{first}: {outcome:?}");
        }
    }

    #[test]
    fn a_run_without_failures_is_not_repeated() {
        assert_eq!(attempts(|args| shell(&format!("[ {} = 1 ]", args.len()))), Ok(Vec::new()));
        assert!(attempts(|_| shell("exit 101")).is_err(), "it does not say which failed");
        let many = "printf 'failures:\\n    a\\n    b\\n    c\\n    d\\ntest result: FAILED. 0 passed; 4 failed;\\n'; exit 101";
        assert_eq!(attempts(|_| shell(many)), Err("4 tests failed".to_owned()));
    }

    /// One that holds on to the output, as a daemon would that a test has forgotten: this comes back before its end.
    #[test]
    fn a_process_that_is_left_behind_is_not_waited_for() {
        let gone = tempfile::tempdir().unwrap();
        let mark = gone.path().join("mark");
        let script = format!("(sleep 60; touch {}) 2> /dev/null & exit 0", mark.display());
        assert_eq!(attempts(|_| shell(&script)), Ok(Vec::new()));
        assert!(!mark.exists());
    }
}
