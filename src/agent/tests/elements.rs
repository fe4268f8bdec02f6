//! `stbeacon elements`, as an integrator types it.

use crate::common::{stbeacon, stderr, stdout};

/// The command over a file with this in it.
fn elements(content: &[u8]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("box.toml");
    std::fs::write(&file, content).unwrap();
    let output = stbeacon(&["elements"]).arg(&file).output().unwrap();
    let strip = |text: String| text.replace(&dir.path().display().to_string(), "DIR");
    (output.status.code(), strip(stdout(&output)), strip(stderr(&output)))
}

#[test]
fn the_packaged_file_is_good_and_says_what_it_says() {
    let packaged = include_str!("../../../packaging/elements.toml");
    let (code, told, _) = elements(packaged.as_bytes());
    assert_eq!(code, Some(0));
    let expected = "DIR/box.toml: good\n\
                    built in:\n  \
                    westerossink: sink of video, rendered from stats.rendered, dropped from stats.dropped\n  \
                    queue: queue, buffered from current-level-time in ns\n  \
                    queue2: queue, buffered from current-level-time in ns\n";
    assert_eq!(told, expected);
    // Its example is one, once the marks are taken off.
    let (_, example) = packaged.split_once("#\n# [[element]]").unwrap();
    let example = format!("# [[element]]{example}").replace("# ", "").replace("#\n", "\n");
    let (code, told, why) = elements(example.as_bytes());
    assert_eq!(code, Some(0), "{why}");
    assert!(told.contains("acmevdec*: decoder of video, decoded from frames-decoded"), "{told}");
    assert!(told.contains("acmedemux: demuxer, its bytes hidden"), "{told}");
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_remedy() {
    let (code, told, why) =
        elements(b"[[element]]\nname = \"acmevdec\"\nrole = \"decoder\"\ndropped = 7\ncolour = \"red\"\n");
    assert_eq!((code, told.as_str()), (Some(1), ""));
    let expected = "\
        stbeacon: DIR/box.toml:4: dropped: 7 is neither true, false nor text; put texts in quotes\n\
        stbeacon: DIR/box.toml:5: colour: is no key of a row; there are name, role, medium, decoded, rendered, \
        dropped, failed, bytes, hidden, buffered, buffered_unit\n";
    assert_eq!(why, expected);
    let (code, _, why) = elements(b"# one\n# tw\xffo\n");
    assert_eq!((code, why.as_str()), (Some(1), "stbeacon: DIR/box.toml:2: is not UTF-8; save it as UTF-8\n"));
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let missing = ["elements", "/nonexistent/box.toml"];
    let output = stbeacon(&missing).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("/nonexistent/box.toml: No such file"), "{}", stderr(&output));
    let output = stbeacon(&["elements"]).env("STBEACON_ELEMENTS", "/nonexistent/a.toml").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
