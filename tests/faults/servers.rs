//! Servers of a group's own, to be broken at will.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// Servers that `scripts/servers` runs until this is dropped, or this process ends in any way.
pub struct Servers {
    script: Child,
    exports: BTreeMap<String, String>,
}

impl Servers {
    pub fn run(kind: &str) -> Self {
        // `cat` ends when our end of its standard input is closed, and the servers with it.
        let mut script = scripts_servers()
            .args(["run", kind, "--", "sh", "-c"])
            .arg("env | grep ^GUESTHOUSE_TEST_; echo; exec cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let exports = BufReader::new(script.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                let (name, value) = line.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        Self { script, exports }
    }

    /// The address of a server, by the end of the variable that `scripts/servers` exports.
    pub fn url(&self, name: &str) -> &str {
        self.exports
            .get(&format!("GUESTHOUSE_TEST_{name}"))
            .unwrap_or_else(|| panic!("{name}: the servers did not start"))
    }

    /// Sends a signal to a server.
    pub fn signal(&self, name: &str, signal: &str) {
        self.order(&["signal", self.url("SERVERS"), name, signal]);
    }

    /// Sends a signal to a process that a server has started.
    pub fn signal_child(&self, name: &str, signal: &str, pid: i32) {
        self.order(&[
            "signal",
            self.url("SERVERS"),
            name,
            signal,
            &pid.to_string(),
        ]);
    }

    /// Starts a server that has ended.
    pub fn relaunch(&self, name: &str) {
        self.order(&["relaunch", self.url("SERVERS"), name]);
    }

    fn order(&self, words: &[&str]) {
        let status = scripts_servers().args(words).status().unwrap();
        assert!(status.success(), "scripts/servers {words:?}: {status}");
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // What it has to say, it says on standard error.
        let _ = self.script.wait();
    }
}

fn scripts_servers() -> Command {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut command = Command::new(format!("{root}/scripts/servers"));
    command.current_dir(root);
    command
}
