//! The file `.env`, in the working directory or above it.

use super::failure::Failure;

/// What the file sets, in its order; nothing if there is none.
///
/// The environment of the process is left as it is: other threads may read it.
pub(super) fn variables() -> Result<Vec<(String, String)>, Failure> {
    // A line would be quoted in the error, and may hold a password.
    let failed = |error: &dotenvy::Error| match error {
        dotenvy::Error::Io(error) => Failure::new(format!("the file .env cannot be read: {error}")),
        _ => Failure::new("the file .env has a line that cannot be read".to_owned()),
    };
    match dotenvy::dotenv_iter() {
        Ok(lines) => lines
            .map(|line| line.map_err(|error| failed(&error)))
            .collect(),
        Err(error) if error.not_found() => Ok(Vec::new()),
        Err(error) => Err(failed(&error)),
    }
}
