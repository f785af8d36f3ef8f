//! The program that imports people from a file.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use guesthouse::user;
use sea_orm::{EntityTrait, PaginatorTrait};

use crate::support::{self, TestDb as Db};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/people.csv");

/// Lines of one transaction of the program.
const CHUNK: usize = 1_000;

fn import(db: &Db, folder: &Path) -> Command {
    let mut command = Command::new(support::example("import"));
    command.current_dir(folder).env("DATABASE_URL", &db.url);
    command
}

/// Runs the program with `input` as its standard input.
fn import_of(db: &Db, folder: &Path, input: &[u8]) -> Output {
    fs::write(folder.join("input"), input).unwrap();
    let input = fs::File::open(folder.join("input")).unwrap();
    import(db, folder).stdin(input).output().unwrap()
}

/// What the summary says of signed up, there already, duplicates, rejected, lines and new hosts.
fn counts(run: &Output) -> [usize; 6] {
    let said = str::from_utf8(&run.stdout).unwrap();
    let names = [
        "signed up",
        "there already",
        "duplicates",
        "rejected",
        "lines",
        "new hosts",
    ];
    let mut lines = said.lines();
    names.map(|name| {
        let line = lines.next().unwrap_or_else(|| panic!("{run:?}")).trim();
        let count = line.strip_prefix(name).unwrap_or_else(|| panic!("{run:?}"));
        count.trim().parse().unwrap()
    })
}

/// Line, reason and raw line of each reject.
fn rejects(path: &Path) -> Vec<(usize, String, Vec<u8>)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.headers().unwrap(), ["line", "reason", "raw"][..]);
    let text = |field: &[u8]| str::from_utf8(field).unwrap().to_owned();
    reader
        .byte_records()
        .map(Result::unwrap)
        .map(|reject| {
            assert_eq!(reject.len(), 3);
            (
                text(&reject[0]).parse().unwrap(),
                text(&reject[1]),
                reject[2].to_vec(),
            )
        })
        .collect()
}

/// The addresses of the hosts.
async fn hosts(db: &Db) -> BTreeSet<String> {
    let rows = db.rows().await;
    let is_host = |user: &user::Model| rows.hosts.iter().any(|host| host.user_id == user.id);
    rows.users
        .iter()
        .filter(|user| is_host(user))
        .map(|user| user.email.clone())
        .collect()
}

on_each_backend!(
    the_sample_is_taken_once,
    people_who_are_there_become_hosts_and_nothing_else,
    an_interrupted_run_leaves_whole_chunks,
);

async fn the_sample_is_taken_once(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let refused = folder.path().join("refused.csv");
    let run = || {
        import(&db, folder.path())
            .arg(SAMPLE)
            .arg("--rejects")
            .arg(&refused)
            .output()
            .unwrap()
    };

    let first = run();

    assert_eq!(first.status.code(), Some(1), "{first:?}");
    assert_eq!(counts(&first), [276, 0, 7, 17, 300, 62]);
    assert!(str::from_utf8(&first.stdout).unwrap().ends_with(&format!(
        "\n\nThe rejected lines are in {}\n",
        refused.display(),
    )));
    // No bar where nobody looks.
    assert_eq!(first.stderr, b"");
    let rows = db.rows().await;
    assert_eq!(
        (rows.users.len(), rows.guests.len(), rows.hosts.len()),
        (276, 276, 62)
    );

    let sample = fs::read(SAMPLE).unwrap();
    let lines: Vec<&[u8]> = sample.split(|&byte| byte == b'\n').collect();
    let expected = [
        (32, "the role is neither guest nor host"),
        (43, "there are not two fields but 1"),
        (49, "the e-mail address is empty"),
        (55, "the quotation marks do not match"),
        (89, "the role is neither guest nor host"),
        (100, "the role is neither guest nor host"),
        (133, "the quotation marks do not match"),
        (144, "the e-mail address is malformed"),
        (166, "there are not two fields but 3"),
        (177, "the e-mail address is malformed"),
        (188, "the e-mail address is empty"),
        (208, "the quotation marks do not match"),
        (217, "there are not two fields but 1"),
        (237, "the line is not UTF-8"),
        (249, "the e-mail address is longer than 254 bytes"),
        (266, "the role is neither guest nor host"),
        (275, "the quotation marks do not match"),
    ];
    let expected =
        expected.map(|(line, reason)| (line, reason.to_owned(), lines[line - 1].to_vec()));
    assert_eq!(rejects(&refused), expected);
    let first_refused = fs::read(&refused).unwrap();

    let second = run();

    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert_eq!(counts(&second), [0, 276, 7, 17, 300, 0]);
    assert_eq!(db.rows().await, rows);
    assert_eq!(fs::read(&refused).unwrap(), first_refused);
}

async fn people_who_are_there_become_hosts_and_nothing_else(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let ada = db.user("ada").await;
    let grace = db.host("grace").await;
    let before = db.rows().await;

    let run = import_of(
        &db,
        folder.path(),
        b"email,role
Ada@Example.com,host
grace@example.com,guest
mary@example.com,guest
MARY@example.com,host
",
    );

    assert!(run.status.success(), "{run:?}");
    assert_eq!(counts(&run), [1, 2, 1, 0, 4, 2]);
    let after = db.rows().await;
    assert_eq!(after.users[..2], before.users);
    assert_eq!(after.guests[..2], before.guests);
    assert!(after.hosts.contains(&grace));
    assert!(after.hosts.iter().any(|host| host.user_id == ada.id));
    assert_eq!(
        hosts(&db).await,
        ["ada", "grace", "mary"]
            .map(|name| format!("{name}@example.com"))
            .into(),
    );
}

/// Ctrl-C in the middle leaves whole chunks, and a further run does the rest.
#[cfg(unix)]
async fn an_interrupted_run_leaves_whole_chunks(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let people = |numbers: std::ops::Range<usize>| {
        numbers.fold(String::new(), |mut lines, n| {
            let role = if n % 5 == 0 { "host" } else { "guest" };
            writeln!(lines, "person{n}@example.com,{role}").unwrap();
            lines
        })
    };
    let mut program = import(&db, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It stays open: the program stops though more lines may come.
    let mut input = program.stdin.take().unwrap();
    let lines = format!("email,role\n{}not-an-email,guest\n", people(0..1_500));
    input.write_all(lines.as_bytes()).unwrap();

    let mut look = tokio::time::interval(Duration::from_millis(20));
    while user::Entity::find().count(&db.pool).await.unwrap_or(0) == 0 {
        look.tick().await;
        assert_eq!(program.try_wait().unwrap(), None);
    }
    let signal = Command::new("kill")
        .args(["-INT", &program.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    while program.try_wait().unwrap().is_none() {
        look.tick().await;
    }
    let run = program.wait_with_output().unwrap();
    drop(input);

    assert_eq!(run.status.code(), Some(130), "{run:?}");
    assert_eq!(counts(&run), [CHUNK, 0, 0, 0, CHUNK, CHUNK / 5]);
    assert_eq!(
        str::from_utf8(&run.stderr).unwrap(),
        "interrupted: import the same file again for the rest of it\n",
    );
    let rows = db.rows().await;
    assert_eq!(
        (rows.users.len(), rows.guests.len(), rows.hosts.len()),
        (CHUNK, CHUNK, CHUNK / 5),
    );
    assert_eq!(rejects(&folder.path().join("rejects.csv")), []);

    let all = format!("email,role\n{}{}", people(0..2_500), people(0..1));
    let rest = import_of(&db, folder.path(), all.as_bytes());

    assert!(rest.status.success(), "{rest:?}");
    assert_eq!(counts(&rest), [1_500, CHUNK, 1, 0, 2_501, 300]);
    let after = db.rows().await;
    assert_eq!(
        (after.users.len(), after.guests.len(), after.hosts.len()),
        (2_500, 2_500, 500)
    );
    assert_eq!(after.users[..CHUNK], rows.users);
}

/// What is about bytes and not about rows.
mod lines {
    use super::*;

    on_sqlite!(
        as_spreadsheets_write_them,
        one_without_end_is_rejected_in_pieces,
        what_is_no_such_file_is_refused_before_anything_is_written,
        rejects_stand_beside_their_file,
    );

    async fn as_spreadsheets_write_them(db: Db) {
        let folder = tempfile::tempdir().unwrap();
        let input = b"\xef\xbb\xbfemail,role\r\n\r\n\"ada@example.com\",\"host\"\r\n \
                      grace@example.com , guest \r\n\"\"\"mary ann\"\"@example.com\",guest";

        let run = import_of(&db, folder.path(), input);

        assert!(run.status.success(), "{run:?}");
        assert_eq!(counts(&run), [3, 0, 0, 0, 3, 1]);
        let emails: BTreeSet<_> = db.rows().await.users.into_iter().map(|u| u.email).collect();
        let expected = [
            "\"mary ann\"@example.com",
            "ada@example.com",
            "grace@example.com",
        ];
        assert_eq!(emails, expected.map(str::to_owned).into());
    }

    /// It is not held in memory whole; its pieces in the rejects are the whole line.
    async fn one_without_end_is_rejected_in_pieces(db: Db) {
        let folder = tempfile::tempdir().unwrap();
        let long = "x\"y,".repeat(5_000);
        let input = format!("email,role\n{long}\nada@example.com,guest\ncut\roff,guest\n");

        let run = import_of(&db, folder.path(), input.as_bytes());

        assert_eq!(run.status.code(), Some(1), "{run:?}");
        assert_eq!(counts(&run), [1, 0, 0, 2, 3, 0]);
        let mut rejects = rejects(&folder.path().join("rejects.csv"));
        let malformed = "the e-mail address is malformed".to_owned();
        assert_eq!(
            rejects.pop(),
            Some((4, malformed, b"cut\roff,guest".to_vec()))
        );
        assert_eq!(rejects.len(), 5);
        for (line, reason, _) in &rejects {
            assert_eq!(
                (*line, reason.as_str()),
                (2, "the line is longer than 4096 bytes")
            );
        }
        let pieces: Vec<_> = rejects.into_iter().map(|(_, _, raw)| raw).collect();
        assert_eq!(pieces.concat(), long.as_bytes());
    }

    async fn what_is_no_such_file_is_refused_before_anything_is_written(db: Db) {
        let folder = tempfile::tempdir().unwrap();
        for input in [
            &b""[..],
            b"ada@example.com,guest\n",
            b"\xff\n",
            b"email;role\n",
        ] {
            let run = import_of(&db, folder.path(), input);
            assert_eq!(run.status.code(), Some(2), "{run:?}");
            let said = str::from_utf8(&run.stderr).unwrap();
            assert_eq!(
                said,
                "error: the first line is not the header `email,role`\n"
            );
        }
        assert!(!folder.path().join("rejects.csv").exists());

        let people = folder.path().join("people.csv");
        fs::copy(SAMPLE, &people).unwrap();
        let mut command = import(&db, folder.path());
        let run = command
            .args(["people.csv", "--rejects", "./people.csv"])
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert_eq!(fs::read(people).unwrap(), fs::read(SAMPLE).unwrap());
        assert!(db.rows().await.users.is_empty());
    }

    async fn rejects_stand_beside_their_file(db: Db) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("people.csv"), "email,role\nada,guest\n").unwrap();

        let run = import(&db, folder.path())
            .arg("people.csv")
            .output()
            .unwrap();

        assert_eq!(run.status.code(), Some(1), "{run:?}");
        let rejects = rejects(&folder.path().join("people.csv.rejects.csv"));
        assert_eq!(rejects.len(), 1);

        let run = import(&db, folder.path())
            .arg("missing.csv")
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert!(run.stderr.starts_with(b"error: missing.csv: "), "{run:?}");
    }
}
