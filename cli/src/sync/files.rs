//! The entity folder: what would change, and changing all of it or nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use similar::TextDiff;
use tempfile::TempDir;

use super::{GeneratedFile, HEADER, SyncError, attributes::FILE};

/// One file that is not in step; `None` stands for no file.
struct Change {
    name: String,
    old: Option<String>,
    new: Option<String>,
}

/// Brings the files in `dir` in step with `files` and returns the names of those that changed,
/// sorted.
///
/// The folder is made if need be. A written file of a table that is gone is removed; files that
/// `sync` did not write stay.
///
/// # Errors
///
/// [`SyncError::NotOurs`] if a hand-written file has the name of a generated one,
/// [`SyncError::File`] if a file cannot be read or written. The folder then holds what it held
/// before.
pub fn write(dir: &Path, files: &[GeneratedFile]) -> Result<Vec<String>, SyncError> {
    let changes = changes(dir, files)?;
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    fs::create_dir_all(dir).map_err(|source| failed(dir, source))?;
    // A folder of a name that nobody has, which goes with the value.
    let staging = TempDir::new_in(dir).map_err(|source| failed(dir, source))?;
    let staging = staging.path();
    let written = stage(staging, &changes).and_then(|()| {
        changes.iter().try_for_each(|change| match &change.new {
            Some(_) => fs::rename(staging.join(&change.name), dir.join(&change.name)),
            None => fs::remove_file(dir.join(&change.name)),
        })
    });
    if let Err(source) = written {
        changes.iter().for_each(|change| restore(dir, change));
        return Err(failed(dir, source));
    }
    Ok(changes.into_iter().map(|change| change.name).collect())
}

/// What [`write()`] would change in `dir`, as a unified difference; empty when all is in step.
///
/// # Errors
///
/// As [`write()`], of which it does all but the writing.
pub fn diff(dir: &Path, files: &[GeneratedFile]) -> Result<String, SyncError> {
    let mut text = String::new();
    for Change { name, old, new } in changes(dir, files)? {
        let header = |side: &str, content: &Option<String>| match content {
            Some(_) => format!("{name} ({side})"),
            None => "/dev/null".to_owned(),
        };
        let (before, after) = (header("folder", &old), header("schema", &new));
        let difference = TextDiff::from_lines(
            old.as_deref().unwrap_or_default(),
            new.as_deref().unwrap_or_default(),
        );
        text.push_str(
            &difference
                .unified_diff()
                .header(&before, &after)
                .to_string(),
        );
    }
    Ok(text)
}

/// The tables of the entities that [`write()`] would remove.
pub(crate) fn tables_to_remove(
    dir: &Path,
    files: &[GeneratedFile],
) -> Result<Vec<String>, SyncError> {
    let removed = changes(dir, files)?.into_iter();
    let removed = removed.filter(|change| change.new.is_none());
    let table = |change: Change| {
        let (_, name) = change.old.as_deref()?.split_once("table_name = \"")?;
        Some(name.split_once('"')?.0.to_owned())
    };
    Ok(removed.filter_map(table).collect())
}

/// The text of `attributes.txt` in `dir`, for [`Options`](super::Options); empty without one.
///
/// # Errors
///
/// [`SyncError::File`] if there is one and it cannot be read.
pub fn attributes(dir: &Path) -> Result<String, SyncError> {
    Ok(read(&dir.join(FILE))?.unwrap_or_default())
}

fn changes(dir: &Path, files: &[GeneratedFile]) -> Result<Vec<Change>, SyncError> {
    let mut changes = Vec::new();
    for file in files {
        let path = dir.join(&file.name);
        let old = read(&path)?;
        if old.as_deref().is_some_and(|old| !is_ours(old)) {
            return Err(SyncError::NotOurs { path });
        }
        if old.as_ref() != Some(&file.content) {
            changes.push(Change {
                name: file.name.clone(),
                old,
                new: Some(file.content.clone()),
            });
        }
    }
    for name in names(dir)? {
        if files.iter().any(|file| file.name == name) {
            continue;
        }
        if let Some(old) = read(&dir.join(&name))?.filter(|old| is_ours(old)) {
            changes.push(Change {
                name,
                old: Some(old),
                new: None,
            });
        }
    }
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(changes)
}

fn is_ours(content: &str) -> bool {
    content
        .lines()
        .next()
        .is_some_and(|line| line.ends_with(HEADER))
}

/// The files in `dir` that `sync` could have written.
fn names(dir: &Path) -> Result<Vec<String>, SyncError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(dir, source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|source| failed(dir, source))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.ends_with(".rs") || name.ends_with(".mmd") {
            names.push(name);
        }
    }
    Ok(names)
}

fn read(path: &Path) -> Result<Option<String>, SyncError> {
    match fs::read_to_string(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(path, source)),
    }
}

/// Writes the new files beside the old ones: what can fail (a full disk) fails here.
fn stage(staging: &Path, changes: &[Change]) -> io::Result<()> {
    for change in changes {
        if let Some(new) = &change.new {
            fs::write(staging.join(&change.name), new)?;
        }
    }
    Ok(())
}

/// Puts back what was there, as far as the failure that led here allows.
fn restore(dir: &Path, change: &Change) {
    let path = dir.join(&change.name);
    let _ = match &change.old {
        Some(old) if fs::read_to_string(&path).is_ok_and(|now| now == *old) => Ok(()),
        Some(old) => fs::write(path, old),
        None => fs::remove_file(path),
    };
}

fn failed(path: &Path, source: io::Error) -> SyncError {
    SyncError::File {
        path: PathBuf::from(path),
        source,
    }
}
