//! Imports people from a CSV file of e-mail addresses and roles.
//!
//!     cargo run --example import -- examples/people.csv
//!
//! Uses `DATABASE_URL`, or else a SQLite file that it creates. `--help` has the rest.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

use std::{
    collections::HashSet,
    env,
    error::Error,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    thread,
};

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use csv::{ReaderBuilder, StringRecord, Terminator, Trim};
use guesthouse::{
    Email, Error as GuesthouseError, InvalidEmail, become_hosts, retry, sign_up_all, user,
};
use guesthouse_migration::{Migrator, MigratorTrait};
use indicatif::{ProgressBar, ProgressStyle};
use sea_orm::{
    ColumnTrait, ConnectOptions, Database, DatabaseConnection, EntityTrait, QueryFilter,
};
use thiserror::Error as ThisError;
use tokio::{signal, sync::mpsc};
use uuid::Uuid;

/// Lines of one transaction.
const CHUNK: usize = 1_000;

/// The longest line that is held in memory; a longer one is rejected, in pieces.
const MAX_LINE: u64 = 4_096;

/// How many addresses are remembered, by eight bytes each, to recognise duplicates. An address beyond
/// them that comes again counts as already there.
const REMEMBERED: usize = 1_000_000;

/// A file or standard input.
type Input = Box<dyn Read + Send>;

/// Imports people from a CSV file with the header `email,role`; a role is `guest` or `host`.
///
/// A line is a person: a user with a guest, and with a host if the role is `host`. People who are
/// there already stay, and become hosts where a line says so, so the same file can be imported any
/// number of times. Ctrl-C stops after the chunk of 1,000 lines that is being written.
///
/// Exit status: 0 if every line was taken, 1 if some were rejected, 2 after a failure, 130 after
/// Ctrl-C.
#[derive(Parser)]
struct Arguments {
    /// The file; standard input if it is `-` or not given
    input: Option<PathBuf>,
    /// The file for the lines that are not taken, each with its number and the reason; every run writes
    /// it anew [default: INPUT.rejects.csv; rejects.csv for standard input]
    #[arg(long, value_name = "PATH")]
    rejects: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let input = arguments.input.filter(|path| path != Path::new("-"));
    let rejects = arguments.rejects.unwrap_or_else(|| match &input {
        Some(path) => {
            let mut name = path.clone().into_os_string();
            name.push(".rejects.csv");
            name.into()
        }
        None => "rejects.csv".into(),
    });
    let (lines, bytes) = open(input.as_deref())?;
    let lines = Lines::of(lines)?;
    // What is to be read must not be emptied.
    if let (Some(input), Ok(rejects)) = (&input, fs::canonicalize(&rejects))
        && fs::canonicalize(input)? == rejects
    {
        return Err("the rejects would overwrite the input".into());
    }
    let rejected = File::create(&rejects).map_err(|error| about(&rejects, &error))?;
    let mut rejected = csv::Writer::from_writer(rejected);
    rejected.write_record(["line", "reason", "raw"])?;
    rejected.flush()?;

    let url = env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite://import.db?mode=rwc".to_owned());
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false);
    let db = Database::connect(options).await?;
    Migrator::up(&db, None).await?;

    let bar = progress_bar(bytes)?;
    let (summary, interrupted) = import(&db, lines, &mut rejected, &bar).await?;
    bar.finish_and_clear();
    db.close().await?;

    println!("{}", summary.table());
    if summary.rejected > 0 {
        println!("\nThe rejected lines are in {}", rejects.display());
    }
    if interrupted {
        eprintln!("interrupted: import the same file again for the rest of it");
        return Ok(ExitCode::from(130));
    }
    Ok(if summary.rejected > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The input, and how long it is if that is known.
fn open(path: Option<&Path>) -> Result<(Input, Option<u64>), Box<dyn Error>> {
    let Some(path) = path else {
        return Ok((Box::new(io::stdin()), None));
    };
    let file = File::open(path).map_err(|error| about(path, &error))?;
    let metadata = file.metadata()?;
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

fn about(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Drawn on standard error, and only if that is a terminal.
fn progress_bar(bytes: Option<u64>) -> Result<ProgressBar, Box<dyn Error>> {
    Ok(match bytes {
        Some(bytes) => ProgressBar::new(bytes).with_style(ProgressStyle::with_template(
            "{bar:40} {percent}%, {msg}, {eta} to go",
        )?),
        None => ProgressBar::no_length()
            .with_style(ProgressStyle::with_template("{msg}, {elapsed} so far")?),
    })
}

// ---- The database ----

/// What was done, in lines.
#[derive(Default)]
struct Summary {
    signed_up: usize,
    there_already: usize,
    duplicates: usize,
    rejected: usize,
    new_hosts: usize,
}

impl Summary {
    fn lines(&self) -> usize {
        self.signed_up + self.there_already + self.duplicates + self.rejected
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        for (what, count) in [
            ("signed up", self.signed_up),
            ("there already", self.there_already),
            ("duplicates", self.duplicates),
            ("rejected", self.rejected),
            ("lines", self.lines()),
            ("new hosts", self.new_hosts),
        ] {
            table.add_row([what.to_owned(), count.to_string()]);
        }
        if let Some(counts) = table.column_mut(1) {
            counts.set_cell_alignment(CellAlignment::Right);
        }
        table.trim_fmt()
    }
}

/// Imports chunk by chunk, and returns whether Ctrl-C ended it.
async fn import(
    db: &DatabaseConnection,
    mut lines: Lines,
    rejects: &mut csv::Writer<File>,
    bar: &ProgressBar,
) -> Result<(Summary, bool), Box<dyn Error>> {
    let (sender, mut chunks) = mpsc::channel(1);
    // A thread of its own, because nothing can end a read from a terminal or a pipe: the runtime
    // would wait for one of its own threads, and Ctrl-C would have to wait for the next line.
    let reader = thread::spawn(move || {
        while let Some(chunk) = lines.next_chunk()? {
            if sender.blocking_send(chunk).is_err() {
                break;
            }
        }
        io::Result::Ok(())
    });

    // One future for the whole run, so that a signal during a transaction is not missed.
    let mut interrupt = pin!(signal::ctrl_c());
    let mut summary = Summary::default();
    loop {
        let chunk = tokio::select! {
            biased;
            interrupted = &mut interrupt => {
                interrupted?;
                return Ok((summary, true));
            }
            chunk = chunks.recv() => chunk,
        };
        let Some(chunk) = chunk else { break };
        // The rejects come first: what fails after them is done again with the same lines.
        for reject in &chunk.rejects {
            let Reject { line, reason, raw } = reject;
            rejects.write_record([
                line.to_string().as_bytes(),
                reason.to_string().as_bytes(),
                raw,
            ])?;
        }
        rejects.flush()?;
        take_in(db, &chunk, &mut summary).await?;
        bar.set_position(chunk.bytes);
        bar.set_message(format!("{} lines", summary.lines()));
    }
    match reader.join() {
        Ok(outcome) => Ok((summary, outcome.map(|()| false)?)),
        Err(_) => Err("the reader has failed".into()),
    }
}

/// Signs up the people of one chunk and makes hosts, all of them or none.
async fn take_in(
    db: &DatabaseConnection,
    chunk: &Chunk,
    summary: &mut Summary,
) -> Result<(), GuesthouseError> {
    let hosts: HashSet<&str> = chunk
        .people
        .iter()
        .filter(|person| person.is_host)
        .map(|person| person.email.as_ref())
        .collect();
    let (mut created, new_hosts) = retry::transaction(db, async |txn| {
        let emails = chunk.people.iter().map(|person| person.email.clone());
        let sign_ups = sign_up_all(txn, emails.collect()).await?;
        let users = sign_ups.created.into_iter().map(|account| account.user);
        let created: HashSet<String> = users.clone().map(|user| user.email).collect();

        let mut user_ids: Vec<Uuid> = users
            .filter(|user| hosts.contains(user.email.as_str()))
            .map(|user| user.id)
            .collect();
        let there_already: Vec<&str> = hosts
            .iter()
            .copied()
            .filter(|&email| !created.contains(email))
            .collect();
        if !there_already.is_empty() {
            let users = user::Entity::find()
                .filter(user::Column::Email.is_in(there_already))
                .all(txn)
                .await
                .map_err(|source| GuesthouseError::Database { source })?;
            user_ids.extend(users.iter().map(|user| user.id));
        }
        let onboardings = become_hosts(txn, &user_ids).await?;
        Ok::<_, GuesthouseError>((created, onboardings.new.len()))
    })
    .await?;

    for person in &chunk.people {
        if created.remove(person.email.as_ref()) {
            summary.signed_up += 1;
        } else if person.is_repeated {
            summary.duplicates += 1;
        } else {
            summary.there_already += 1;
        }
    }
    summary.rejected += chunk.rejected_lines;
    summary.new_hosts += new_hosts;
    Ok(())
}

// ---- The lines ----

/// At most [`CHUNK`] people and rejects.
#[derive(Default)]
struct Chunk {
    people: Vec<Person>,
    rejects: Vec<Reject>,
    rejected_lines: usize,
    /// How much of the input has been read at its end.
    bytes: u64,
}

struct Person {
    email: Email,
    is_host: bool,
    /// Whether an earlier line has the address.
    is_repeated: bool,
}

/// A line, or a piece of one that is too long, without its end.
struct Reject {
    line: u64,
    reason: BadLine,
    raw: Vec<u8>,
}

/// Why a line is not taken. It does not repeat what is in the line.
#[derive(Debug, ThisError)]
enum BadLine {
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("the line is not UTF-8")]
    NotUtf8,
    #[error("the quotation marks do not match")]
    Quotes,
    #[error("there are not two fields but {0}")]
    Fields(usize),
    #[error("the role is neither guest nor host")]
    Role,
    #[error(transparent)]
    Email(#[from] InvalidEmail),
}

/// The lines after the header, with no more than a chunk of them in memory.
///
/// A record is a line here: no address and no role has a line break in it, and so a missing quotation
/// mark spoils only its own line.
struct Lines {
    input: BufReader<Input>,
    number: u64,
    bytes: u64,
    /// Whether the last piece did not end its line.
    is_within: bool,
    seen: HashSet<u64>,
}

/// A piece of the input, up to the end of a line.
enum Piece {
    Line(Vec<u8>),
    OfTooLong(Vec<u8>),
}

impl Lines {
    /// Reads the header.
    fn of(input: Input) -> Result<Self, Box<dyn Error>> {
        let mut lines = Self {
            input: BufReader::new(input),
            number: 0,
            bytes: 0,
            is_within: false,
            seen: HashSet::new(),
        };
        let header = match lines.next_piece()? {
            Some(Piece::Line(line)) => line,
            _ => Vec::new(),
        };
        // Spreadsheets put a byte order mark in front.
        let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&header);
        match str::from_utf8(header)
            .ok()
            .and_then(|text| fields(text).ok())
        {
            Some(fields) if fields == ["email", "role"][..] => Ok(lines),
            _ => Err("the first line is not the header `email,role`".into()),
        }
    }

    fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let mut chunk = Chunk::default();
        while chunk.people.len() + chunk.rejects.len() < CHUNK {
            let was_within = self.is_within;
            let Some(piece) = self.next_piece()? else {
                break;
            };
            let (reason, raw) = match piece {
                Piece::Line(line) => match Person::parse(&line) {
                    Ok(None) => continue,
                    Ok(Some(mut person)) => {
                        person.is_repeated = self.is_repeated(&person.email);
                        chunk.people.push(person);
                        continue;
                    }
                    Err(reason) => (reason, line),
                },
                Piece::OfTooLong(piece) => (BadLine::TooLong, piece),
            };
            chunk.rejected_lines += usize::from(!was_within);
            chunk.rejects.push(Reject {
                line: self.number,
                reason,
                raw,
            });
        }
        chunk.bytes = self.bytes;
        let is_empty = chunk.people.is_empty() && chunk.rejects.is_empty();
        Ok((!is_empty).then_some(chunk))
    }

    fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        let mut piece = Vec::new();
        let length = (&mut self.input)
            .take(MAX_LINE)
            .read_until(b'\n', &mut piece)?;
        if length == 0 {
            return Ok(None);
        }
        self.bytes += length as u64;
        let was_within = self.is_within;
        self.is_within = length as u64 == MAX_LINE && !piece.ends_with(b"\n");
        self.number += u64::from(!was_within);
        if piece.ends_with(b"\n") {
            piece.pop();
            if piece.ends_with(b"\r") {
                piece.pop();
            }
        }
        Ok(Some(if was_within || self.is_within {
            Piece::OfTooLong(piece)
        } else {
            Piece::Line(piece)
        }))
    }

    fn is_repeated(&mut self, email: &Email) -> bool {
        let mut hasher = DefaultHasher::new();
        email.hash(&mut hasher);
        let fingerprint = hasher.finish();
        if self.seen.len() < REMEMBERED {
            !self.seen.insert(fingerprint)
        } else {
            self.seen.contains(&fingerprint)
        }
    }
}

impl Person {
    /// The person on the line, `None` if it is blank.
    fn parse(line: &[u8]) -> Result<Option<Self>, BadLine> {
        let line = str::from_utf8(line).map_err(|_| BadLine::NotUtf8)?;
        if line.trim().is_empty() {
            return Ok(None);
        }
        let fields = fields(line)?;
        if fields.len() != 2 {
            return Err(BadLine::Fields(fields.len()));
        }
        let is_host = match &fields[1] {
            "guest" => false,
            "host" => true,
            _ => return Err(BadLine::Role),
        };
        Ok(Some(Self {
            email: fields[0].parse()?,
            is_host,
            is_repeated: false,
        }))
    }
}

fn fields(line: &str) -> Result<StringRecord, BadLine> {
    if !has_matching_quotes(line) {
        return Err(BadLine::Quotes);
    }
    let mut fields = StringRecord::new();
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        // The line has been cut out; what is left of a carriage return is part of a field.
        .terminator(Terminator::Any(b'\n'))
        .buffer_capacity(line.len())
        .from_reader(line.as_bytes())
        .read_record(&mut fields)
        .map_err(|_| BadLine::NotUtf8)?;
    Ok(fields)
}

/// Whether each quotation mark begins a field, ends it or is doubled within it. The parser takes
/// the others too, and would sign up `ada@example.comx` for `"ada@example.com"x`.
fn has_matching_quotes(line: &str) -> bool {
    let parts: Vec<&str> = line.split('"').collect();
    let last = parts.len() - 1;
    let outside = parts.iter().enumerate().step_by(2);
    last.is_multiple_of(2)
        && outside.into_iter().all(|(n, part)| {
            part.is_empty()
                || ((n == 0 || part.starts_with(',')) && (n == last || part.ends_with(',')))
        })
}
