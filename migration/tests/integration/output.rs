//! What becomes of the program when what it prints cannot be written.

use std::{
    fs::OpenOptions,
    process::{Output, Stdio},
};

use crate::support::{Place, text};

/// Runs the program with a standard output that nobody reads.
fn unread(place: &Place, arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    place.command(arguments).stdout(writer).output().unwrap()
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_nothing() {
    let place = Place::new();
    let up = unread(&place, &["up"]);
    assert_eq!(up.status.code(), Some(0), "{up:?}");
    assert!(!text(&up.stderr).contains("panicked"), "{up:?}");
    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 3);
    for command in ["status", "verify", "audit", "backfill-guests", "--help"] {
        let output = unread(&place, &[command]);
        assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
        assert_eq!(text(&output.stderr), "", "{command}");
    }
    // The answer is the exit code, too.
    place.execute("DROP INDEX hosts_user_id").await;
    let verify = unread(&place, &["verify"]);
    assert_eq!(verify.status.code(), Some(1));
    assert_eq!(text(&verify.stderr), "");
}

#[test]
fn a_full_disk_is_one_line() {
    let place = Place::new();
    place.succeed(&["up"]);
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    for command in [
        "status",
        "verify",
        "audit",
        "backfill-guests",
        "up",
        "--help",
    ] {
        let mut program = place.command(&[command]);
        let output = program
            .stdout(full())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
        assert_eq!(
            text(&output.stderr).lines().last(),
            Some("error: the output cannot be written: No space left on device (os error 28)"),
            "{command}"
        );
        assert!(!text(&output.stderr).contains("panicked"), "{command}");
    }
}

/// Nobody hears of it, which is no reason to panic.
#[test]
fn an_unread_standard_error_ends_nothing() {
    for unheard in [
        unread_stderr(),
        OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
            .into(),
    ] {
        let place = Place::new();
        let up = place.command(&["up"]).stderr(unheard).output().unwrap();
        assert_eq!(up.status.code(), Some(0), "{up:?}");
        assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 3);
        let failing = place
            .command(&["sync"])
            .stderr(unread_stderr())
            .output()
            .unwrap();
        assert_eq!(failing.status.code(), Some(1), "{failing:?}");
    }
}

fn unread_stderr() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}
