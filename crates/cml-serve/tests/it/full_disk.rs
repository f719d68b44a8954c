//! A disk that is really full: one of its own for the server, of a few pages.

use crate::process::Process;
use crate::world::{clear, world};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What tmpfs counts in.
const PAGE: u64 = 4096;

/// A server with a disk of its own.
struct SmallDisk {
    server: Process,
    /// The data folder, as others see it.
    data: PathBuf,
    pages: u64,
    _folder: TempDir,
}

impl SmallDisk {
    /// Room for two keys and a little more; none if this machine does not let tests make disks.
    fn start() -> Option<Self> {
        if !Process::can_have_disks() {
            eprintln!("NOT TESTED: no mount namespace on this machine, so no disk that is full");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let pages = 2 * pages(&world().parties[0].key) + 16;
        let server = Process::on_disk_of(pages * PAGE, folder.path());
        Some(Self {
            data: server.inside(&folder.path().join("data")),
            server,
            pages,
            _folder: folder,
        })
    }

    fn files(&self, name: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.data.join(name)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Takes all but so many pages.
    fn leave(&self, left: u64) {
        let used: u64 = ["keys", "incoming", "jobs"]
            .into_iter()
            .flat_map(|name| self.files(name))
            .map(|path| std::fs::metadata(path).unwrap().len().div_ceil(PAGE))
            .sum();
        let take = self.pages - used - left;
        std::fs::write(self.filler(), vec![0; (take * PAGE) as usize]).unwrap();
    }

    /// Gives back what [`SmallDisk::leave`] took.
    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.data.join("filler")
    }
}

fn pages(bytes: &[u8]) -> u64 {
    (bytes.len() as u64).div_ceil(PAGE)
}

#[test]
fn keys_that_do_not_fit() {
    let Some(disk) = SmallDisk::start() else { return };
    let [a, b, _] = &world().parties;
    assert_eq!(disk.server.send(&a.put()).status, 201);
    // From the last page that is missing to all but one.
    let needs = pages(&b.key);
    for left in [needs - 1, needs - 16, needs / 2, 1, 0] {
        disk.leave(left);
        let refused = disk.server.send(&b.put());
        refused.refused(507, "storage_full", "the server's disk is full");
        assert_eq!((disk.files("keys").len(), disk.files("incoming").len()), (1, 0));
        disk.server.send(&b.infer(&[1])).refused(404, "unknown_key", "");
        disk.free();
    }
    assert_eq!(disk.server.send(&b.put()).status, 201);
    assert_eq!(b.decrypt(&disk.server.send(&b.infer(&[1]))), clear(&[1]));
    assert_eq!(a.decrypt(&disk.server.send(&a.infer(&[2]))), clear(&[2]));
}

#[test]
fn jobs_that_do_not_fit() {
    let Some(disk) = SmallDisk::start() else { return };
    let party = &world().parties[0];
    assert_eq!(disk.server.send(&party.put()).status, 201);
    let samples = [3; 300];
    let later = party.infer(&samples).with("prefer", "respond-async");
    assert!(pages(&later.body) > 1);
    for left in [pages(&later.body) - 1, 0] {
        disk.leave(left);
        let refused = disk.server.send(&later);
        refused.refused(507, "storage_full", "the server's disk is full");
        assert_eq!((disk.files("jobs").len(), disk.files("incoming").len()), (0, 0));
        // What is answered at once needs no disk.
        assert_eq!(party.decrypt(&disk.server.send(&party.infer(&[1]))), clear(&[1]));
        disk.free();
    }
    // Accepted, and then there is no room for the results: they are answered, and the inputs stay.
    let accepted = disk.server.send(&later);
    assert_eq!(accepted.status, 202);
    disk.leave(0);
    assert_eq!(party.decrypt(&disk.server.wait(&accepted)), clear(&samples));
    let kinds: Vec<_> = disk.files("jobs").iter().map(|path| kind(path)).collect();
    assert_eq!((kinds, disk.files("incoming").len()), (vec!["in".to_owned()], 0));
    disk.free();
    let accepted = disk
        .server
        .send(&party.infer(&[2]).with("prefer", "respond-async"));
    assert_eq!(party.decrypt(&disk.server.wait(&accepted)), clear(&[2]));
}

fn kind(path: &Path) -> String {
    path.extension().unwrap().to_str().unwrap().to_owned()
}
