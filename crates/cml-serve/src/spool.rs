//! Jobs on disk, so that what was accepted outlives the process: `jobs` in the data folder.
//!
//! | file | holds |
//! |---|---|
//! | `NAME.in` | the inputs, as they were received |
//! | `NAME.out` | the results, as they are answered |
//! | `NAME.failed` | why there are none, a sentence |
//!
//! `NAME` is `ACCEPTED-ID-CALLER-STARTS`: the time in milliseconds since 1970, the job's id, whom it counts
//! for, and in how many processes it has begun to run: all of them went down before it ended. Circuit and key
//! are named in the inputs. The end of a job is written before its inputs are removed, and counts if both are there.

use crate::ServeError;
use crate::caller::Caller;
use crate::data::{self, DataFolder};
use crate::life::{Cause, End, Failure};
use crate::ticket::JobId;
use cml_file::{from_hex, to_hex};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// Kinds of files: the ends of their names.
const INPUTS: &str = "in";
const RESULTS: &str = "out";
const FAILURE: &str = "failed";

/// Jobs on disk.
pub(crate) struct Spool {
    data: Arc<DataFolder>,
    folder: PathBuf,
    /// Removes files: who drops an answer does not wait for a disk.
    cleaner: Option<(Sender<PathBuf>, JoinHandle<()>)>,
}

impl Spool {
    /// Opens the jobs of a data folder; also those that are there, in the order in which they were accepted.
    ///
    /// # Errors
    /// If the folder of jobs cannot be made or read, or there is no thread.
    pub(crate) fn open(data: &Arc<DataFolder>) -> Result<(Arc<Self>, Vec<Files>), ServeError> {
        let folder = data.subfolder("jobs")?;
        let names = scan(&folder).map_err(|e| data::failed(&folder, e))?;
        let (sender, paths) = channel::<PathBuf>();
        let clean = move || {
            for path in paths {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::error!(%error, "storage: remove a job");
                    }
                    _ => {}
                }
            }
        };
        let thread = std::thread::Builder::new().name("cml-spool".to_owned());
        let thread = thread.spawn(clean).map_err(ServeError::Thread)?;
        let spool = Arc::new(Self {
            data: Arc::clone(data),
            folder,
            cleaner: Some((sender, thread)),
        });
        let files = |name| Files {
            spool: Arc::clone(&spool),
            name,
        };
        let files = names.into_iter().map(files).collect();
        Ok((spool, files))
    }

    /// Writes the inputs of a job that is about to be accepted, and may have begun.
    pub(crate) fn write(
        self: &Arc<Self>,
        id: JobId,
        caller: Caller,
        has_begun: bool,
        inputs: &[u8],
    ) -> io::Result<Draft> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let name = Name {
            accepted: since.map_or(0, |since| since.as_millis() as u64),
            id,
            caller,
            starts: has_begun.into(),
        };
        let files = Files {
            spool: Arc::clone(self),
            name,
        };
        self.data.write(&files.path(INPUTS), inputs)?;
        Ok(Draft(Some(files)))
    }

    fn discard(&self, path: PathBuf) {
        if let Some((paths, _)) = &self.cleaner {
            // The thread ends with the sender.
            let _ = paths.send(path);
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some((paths, thread)) = self.cleaner.take() {
            drop(paths);
            // What it had to remove is found at the next start otherwise.
            let _ = thread.join();
        }
    }
}

/// The files of a job that is not accepted yet: they are removed if it never is.
pub(crate) struct Draft(Option<Files>);

impl Draft {
    /// The job is accepted.
    pub(crate) fn accept(mut self) -> Option<Files> {
        self.0.take()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(files) = &self.0 {
            files.discard();
        }
    }
}

/// The files of one job. They stay when this is dropped: as at the end of the process.
pub(crate) struct Files {
    spool: Arc<Spool>,
    pub(crate) name: Name,
}

impl Files {
    /// Writes the end of the job. If that fails, the inputs stay, and would be run again.
    pub(crate) fn end(&self, end: &End) {
        let written = match end {
            Ok(results) => self.spool.data.write(&self.path(RESULTS), results),
            Err(failure) => self
                .spool
                .data
                .write(&self.path(FAILURE), failure.text.as_bytes()),
        };
        match written {
            Ok(()) => self.discard_inputs(),
            Err(error) => tracing::error!(%error, "storage: write the end of a job"),
        }
    }

    /// Removes the inputs of a job that has ended, soon.
    pub(crate) fn discard_inputs(&self) {
        self.spool.discard(self.path(INPUTS));
    }

    /// Removes all of them, soon.
    pub(crate) fn discard(&self) {
        for kind in [INPUTS, RESULTS, FAILURE] {
            self.spool.discard(self.path(kind));
        }
    }

    /// The inputs.
    pub(crate) fn inputs(&self) -> io::Result<Vec<u8>> {
        fs::read(self.path(INPUTS))
    }

    /// The results, which nobody has checked, or why there are none, and how long ago they were written.
    pub(crate) fn ended(&self) -> io::Result<Option<(End, Duration)>> {
        for kind in [RESULTS, FAILURE] {
            let path = self.path(kind);
            let bytes = match fs::read(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                bytes => bytes?,
            };
            let age = fs::metadata(&path)?.modified()?.elapsed().unwrap_or_default();
            let ended = if kind == RESULTS {
                Ok(bytes.into())
            } else {
                Err(Failure::new(Cause::Earlier, String::from_utf8_lossy(&bytes)))
            };
            return Ok(Some((ended, age)));
        }
        Ok(None)
    }

    /// Notes that the job begins to run in one more process.
    pub(crate) fn count_start(&mut self) -> io::Result<()> {
        let mut counted = self.name;
        counted.starts = counted.starts.saturating_add(1);
        let path = self.spool.folder.join(format!("{counted}.{INPUTS}"));
        fs::rename(self.path(INPUTS), path)?;
        self.name = counted;
        Ok(())
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.spool.folder.join(format!("{}.{kind}", self.name))
    }
}

/// What the files of a job are called. In the order in which jobs were accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    accepted: u64,
    pub(crate) id: JobId,
    pub(crate) caller: Caller,
    pub(crate) starts: u32,
}

impl Name {
    /// How long ago the job was accepted.
    pub(crate) fn age(&self) -> Duration {
        let accepted = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.accepted));
        let age = accepted.and_then(|accepted| accepted.elapsed().ok());
        age.unwrap_or_default()
    }

    /// Reads the name of a file.
    fn parse(file: &str) -> Option<Self> {
        let (name, kind) = file.split_once('.')?;
        let mut parts = name.split('-');
        let name = Self {
            accepted: parts.next()?.parse().ok()?,
            id: from_hex(parts.next()?)?,
            caller: Caller::parse(parts.next()?)?,
            starts: parts.next()?.parse().ok()?,
        };
        // Of all that numbers can be written as, only what would be written here.
        let is_ours = [INPUTS, RESULTS, FAILURE].contains(&kind) && file == format!("{name}.{kind}");
        is_ours.then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, caller) = (to_hex(&self.id), self.caller);
        write!(f, "{}-{id}-{caller}-{}", self.accepted, self.starts)
    }
}

/// Names of the jobs in a folder.
fn scan(folder: &Path) -> io::Result<BTreeSet<Name>> {
    let (mut names, mut others) = (BTreeSet::new(), 0_u32);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        match entry.file_name().to_str().and_then(Name::parse) {
            Some(name) if is_file => {
                names.insert(name);
            }
            _ => others += 1,
        }
    }
    // Names of files have ids in them, and the log has none.
    if others > 0 {
        tracing::warn!(
            files = others,
            "in the folder of jobs are files of no job, left alone"
        );
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_one_name() {
        let (id, caller) = ("0f".repeat(16), "a1".repeat(8));
        let good = format!("17-{id}-{caller}-2.in");
        let name = Name::parse(&good).unwrap();
        assert_eq!((name.accepted, name.starts), (17, 2));
        assert_eq!(format!("{name}.in"), good);
        let upper = id.to_uppercase();
        for wrong in [
            format!("17-{id}-{caller}-2"),
            format!("17-{id}-{caller}-2.new"),
            format!("17-{id}-{caller}-2.in.in"),
            format!("017-{id}-{caller}-2.in"),
            format!("+17-{id}-{caller}-2.in"),
            format!("17-{id}-{caller}-2-3.in"),
            format!("17-{upper}-{caller}-2.in"),
            format!("17-{id}-2.in"),
            "notes.in".to_owned(),
        ] {
            assert!(Name::parse(&wrong).is_none(), "{wrong}");
        }
    }
}
